"""From augmented pixels to what a training step takes, by the data threads: compiled, and without Python's lock.

`datasets.device.finish_batch` does the same on the device of the network. Where that is the CPU, the main thread has
the network to run.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from datasets.heatmaps import PATCH_RADIUS_PX, SIGMA_PX
from utils.compiled import compiled

Sample = dict[str, np.ndarray]


def finish_on_host(samples: list[Sample], size: int, mean: float, std: float) -> dict[str, Tensor]:
    """`datasets.device.finish_batch` of the batch that samples with `pixels` make; any others are only collated."""
    if "pixels" not in samples[0]:
        return default_collate(samples)
    image = np.empty((len(samples), size, size, 3), np.float32)
    silhouette = np.empty((len(samples), size // 2, size // 2), np.float32)
    for index, sample in enumerate(samples):
        _scale_into(image[index], sample["pixels"], 1 / (255 * std), -mean / std)
        _scale_into(silhouette[index], sample["mask"], 1 / 255, 0.0)
    landmarks = np.stack([sample["landmarks_px"] for sample in samples])
    heatmaps = np.zeros((*landmarks.shape[:2], size // 2, size // 2), np.float32)
    # Compiled code need not tell what is not a number.
    _draw_heatmaps(np.nan_to_num(landmarks, nan=-1, posinf=-1, neginf=-1), heatmaps)
    return {
        "image": torch.from_numpy(image).permute(0, 3, 1, 2),
        "mesh": torch.from_numpy(np.stack([sample["mesh"] for sample in samples])),
        "landmarks_px": torch.from_numpy(landmarks),
        "mirrored": torch.tensor([sample["mirrored"] for sample in samples]),
        "heatmaps": torch.from_numpy(heatmaps),
        "silhouette": torch.from_numpy(silhouette),
    }


def _scale_into(result: np.ndarray, levels: np.ndarray, factor: float, offset: float) -> None:
    if levels.shape != result.shape:  # compiled code would not notice
        raise ValueError(f"a sample of shape {levels.shape} in a batch of shape {result.shape}")
    _scale(levels.reshape(-1), np.float32(factor), np.float32(offset), result.reshape(-1))


@compiled
def _scale(levels: np.ndarray, factor: np.float32, offset: np.float32, result: np.ndarray) -> None:
    for i in range(len(levels)):
        result[i] = np.float32(levels[i]) * factor + offset


@compiled
def _draw_heatmaps(landmarks_px: np.ndarray, heatmaps: np.ndarray) -> None:
    """`datasets.heatmaps.landmark_heatmaps` at half size, patches only: (B, J, 2) into zeros (B, J, S / 2, S / 2)."""
    half = heatmaps.shape[-1]
    reach = PATCH_RADIUS_PX // 2 + 1
    profile = np.empty((2, 2 * reach + 1), np.float32)
    for b in range(heatmaps.shape[0]):
        for j in range(heatmaps.shape[1]):
            x, y = np.rint(landmarks_px[b, j, 0]), np.rint(landmarks_px[b, j, 1])
            if not (0 <= x < 2 * half + PATCH_RADIUS_PX + 1 and 0 <= y < 2 * half + PATCH_RADIUS_PX + 1):
                continue
            left, top = int(x) // 2 - reach, int(y) // 2 - reach
            _half_profile(x, left, profile[0])
            _half_profile(y, top, profile[1])
            for row in range(max(top, 0), min(top + 2 * reach + 1, half)):
                for column in range(max(left, 0), min(left + 2 * reach + 1, half)):
                    heatmaps[b, j, row, column] = profile[1, row - top] * profile[0, column - left]


@compiled
def _half_profile(center: float, first: int, profile: np.ndarray) -> None:
    """Means of pairs of a Gaussian's pixels, from pixel 2 * first on."""
    for i in range(len(profile)):
        total = 0.0
        for pixel in (2 * (first + i), 2 * (first + i) + 1):
            offset = pixel - center
            if abs(offset) <= PATCH_RADIUS_PX:
                total += math.exp(-(offset * offset) / (2 * SIGMA_PX**2))
        profile[i] = total / 2
