"""From annotated images, wherever they come from, to the samples that a network is trained on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import cv2
import numpy as np
from torch.utils.data import Dataset

from datasets.augmentation import AugmentationSettings, HandSample, augment, augmented_geometry, draw_augmentation
from datasets.color import ColorJitter
from datasets.neighbour import with_neighbour
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD, MESH_SCALE_M, to_network_input

HEATMAP_DOWNSCALE = 2
REFERENCE, DEVICE = "reference", "device"


@dataclass(frozen=True)
class SampleSettings:
    """How samples are made.

    Attributes:
        size: side of a sample in pixels.
        augmentation: how much to augment.
        mean, std: see `to_network_input`.
        seed: of the augmentation.
        pixels: who augments: `reference`, data workers with OpenCV, step by step; or `device`, the network's device.
            `datasets.batch.finish_batch` completes the batches of both.
    """

    size: int = INPUT_SIZE_PX
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    mean: float = INPUT_MEAN
    std: float = INPUT_STD
    seed: int = 0
    pixels: str = DEVICE


class AugmentedHands(Dataset, ABC):
    """Augmented training samples. One is asked for by (epoch, index), which with the seed fixes its augmentation."""

    in_threads = False  # see `datasets.loading.load_batches`
    complete = True  # every sample has a mesh, a mask and all landmarks

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int, epoch: int = 0) -> HandSample:
        """The annotated image that sample (epoch, index) is made from."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        """Sample (epoch, index).

        `mesh` (V, 3) in units of 0.2 m from the wrist and `landmarks_px` (21, 2), float32, and whether `mirrored`. Of
        data that is not `complete` also `joints` (21, 3) in the units of the mesh, for a hand without one, and
        `has_mask`; what is not known is not a number.
        From `reference` also `image` (3, S, S) and `silhouette` (S/2, S/2), float32; otherwise the `planes` (4, H, H)
        uint8 of the image as it is, red, green, blue and mask, and what is to happen to them.
        """
        epoch, index = key
        settings, size = self.settings, self.settings.size
        sample, augmentation = self.read(index, epoch), settings.augmentation
        rng = np.random.default_rng((settings.seed, epoch, index))
        if augmentation.neighbour_share and rng.random() < augmentation.neighbour_share and sample.mask.any():
            sample = with_neighbour(sample, self.read(int(rng.integers(len(self))), epoch), rng)
        drawn = draw_augmentation(sample, augmentation, rng)
        landmarks, vertices, joints = augmented_geometry(sample, drawn, size)
        geometry = {
            "landmarks_px": landmarks.astype(np.float32),
            "mesh": (vertices / MESH_SCALE_M).astype(np.float32),
            "mirrored": np.bool_(drawn.mirrored),
        }
        if not self.complete:
            geometry |= {"joints": (joints / MESH_SCALE_M).astype(np.float32), "has_mask": np.bool_(sample.mask.any())}
        if settings.pixels == REFERENCE:
            done = augment(sample, drawn, size)
            return geometry | {
                "image": to_network_input(done.image, settings.mean, settings.std),
                "silhouette": half_size(done.mask).astype(np.float32) / 255,
            }
        side = sample.image.shape[0]
        planes = np.empty((4, side, side), np.uint8)
        cv2.split(sample.image, list(planes[:3]))
        planes[3] = sample.mask
        return geometry | {
            "planes": planes,
            "affine": drawn.affine(side, size),
            "window_px": drawn.window_px(side, size),
            "color": (drawn.color or ColorJitter()).numbers(),
        }


def half_size(mask: np.ndarray) -> np.ndarray:
    """A silhouette at the size of the network's maps."""
    return cv2.resize(mask, (mask.shape[1] // HEATMAP_DOWNSCALE, mask.shape[0] // HEATMAP_DOWNSCALE))
