"""From annotated images, wherever they come from, to the samples that a network is trained on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import cv2
import numpy as np
from torch.utils.data import Dataset

from datasets.augmentation import AugmentationSettings, HandSample, augment
from datasets.heatmaps import landmark_heatmaps
from utils.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD, MESH_SCALE_M, to_network_input

HEATMAP_DOWNSCALE = 2


@dataclass(frozen=True)
class SampleSettings:
    """How samples are made.

    Attributes:
        size: side of a sample in pixels.
        augmentation: how much to augment.
        mean, std: see `to_network_input`.
        seed: of the augmentation.
    """

    size: int = INPUT_SIZE_PX
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    mean: float = INPUT_MEAN
    std: float = INPUT_STD
    seed: int = 0


class AugmentedHands(Dataset, ABC):
    """Augmented training samples. One is asked for by (epoch, index), which with the seed fixes its augmentation."""

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int, epoch: int = 0) -> HandSample:
        """The annotated image that sample (epoch, index) is made from."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        """Sample (epoch, index): `image` (3, S, S), `mesh` (V, 3) in units of 0.2 m from the wrist, `heatmaps`
        (21, S/2, S/2) and `silhouette` (S/2, S/2), all float32."""
        epoch, index = key
        settings = self.settings
        rng = np.random.default_rng((settings.seed, epoch, index))
        sample = augment(self.read(index, epoch), settings.augmentation, settings.size, rng)
        half = (settings.size // HEATMAP_DOWNSCALE,) * 2
        return {
            "image": to_network_input(sample.image, settings.mean, settings.std),
            "mesh": (sample.vertices_m / MESH_SCALE_M).astype(np.float32),
            "heatmaps": landmark_heatmaps(sample.landmarks_px, settings.size, HEATMAP_DOWNSCALE),
            "silhouette": cv2.resize(sample.mask, half).astype(np.float32) / 255,
        }
