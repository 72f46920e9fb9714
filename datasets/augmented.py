"""From annotated images, wherever they come from, to the samples that a network is trained on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import cv2
import numpy as np
from torch.utils.data import Dataset

from datasets.augmentation import AugmentationSettings, HandSample, augment, augmented_geometry, draw_augmentation
from datasets.color import ColorJitter
from datasets.heatmaps import landmark_heatmaps
from datasets.pixels import augmented_pixels, joined_channels
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD, MESH_SCALE_M, to_network_input

HEATMAP_DOWNSCALE = 2
REFERENCE, HOST, DEVICE = "reference", "host", "device"


@dataclass(frozen=True)
class SampleSettings:
    """How samples are made.

    Attributes:
        size: side of a sample in pixels.
        augmentation: how much to augment.
        mean, std: see `to_network_input`.
        seed: of the augmentation.
        pixels: who augments: `reference`, OpenCV step by step; `host`, the data workers in one go; `device`, the
            network's device. `datasets.device.finish_batch` completes batches of the latter two.
    """

    size: int = INPUT_SIZE_PX
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    mean: float = INPUT_MEAN
    std: float = INPUT_STD
    seed: int = 0
    pixels: str = REFERENCE


class AugmentedHands(Dataset, ABC):
    """Augmented training samples. One is asked for by (epoch, index), which with the seed fixes its augmentation."""

    in_threads = False  # see `datasets.loading.load_batches`

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int, epoch: int = 0) -> HandSample:
        """The annotated image that sample (epoch, index) is made from."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        """Sample (epoch, index).

        From `reference`: `image` (3, S, S), `mesh` (V, 3) in units of 0.2 m from the wrist, `heatmaps`
        (21, S/2, S/2), `landmarks_px` (21, 2) and `silhouette` (S/2, S/2), all float32, and whether the sample is
        `mirrored`. Otherwise what `finish_batch` takes.
        """
        epoch, index = key
        settings, size = self.settings, self.settings.size
        sample = self.read(index, epoch)
        drawn = draw_augmentation(sample, settings.augmentation, np.random.default_rng((settings.seed, epoch, index)))
        if settings.pixels == REFERENCE:
            return self._finished(augment(sample, drawn, size)) | {"mirrored": np.bool_(drawn.mirrored)}
        landmarks, vertices = augmented_geometry(sample, drawn, size)
        geometry = {
            "landmarks_px": landmarks.astype(np.float32),
            "mesh": (vertices / MESH_SCALE_M).astype(np.float32),
            "mirrored": np.bool_(drawn.mirrored),
        }
        if settings.pixels == HOST:
            image, mask = augmented_pixels(sample, drawn, size)
            return geometry | {"pixels": image, "mask": mask}
        side = sample.image.shape[0]
        return geometry | {
            "planes": np.ascontiguousarray(joined_channels(sample).transpose(2, 0, 1)),
            "affine": drawn.affine(side, size),
            "window_px": drawn.window_px(side, size),
            "color": (drawn.color or ColorJitter()).numbers(),
        }

    def _finished(self, sample: HandSample) -> dict[str, np.ndarray]:
        settings = self.settings
        return {
            "image": to_network_input(sample.image, settings.mean, settings.std),
            "mesh": (sample.vertices_m / MESH_SCALE_M).astype(np.float32),
            "landmarks_px": sample.landmarks_px.astype(np.float32),
            "heatmaps": landmark_heatmaps(sample.landmarks_px, settings.size, HEATMAP_DOWNSCALE),
            "silhouette": half_size(sample.mask).astype(np.float32) / 255,
        }


def half_size(mask: np.ndarray) -> np.ndarray:
    """A silhouette at the size of the network's maps."""
    return cv2.resize(mask, (mask.shape[1] // HEATMAP_DOWNSCALE, mask.shape[0] // HEATMAP_DOWNSCALE))
