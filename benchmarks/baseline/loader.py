"""Training samples one at a time: JPEGs decoded for each, OpenCV step by step, a map drawn for every joint."""

import numpy as np

from datasets.augmentation import HandSample
from datasets.augmented import half_size
from datasets.freihand import FreiHANDTraining
from datasets.heatmaps import PATCH_RADIUS_PX, SIGMA_PX
from handmesh.geometry import MESH_SCALE_M, to_network_input


class PlainFreiHAND(FreiHANDTraining):
    """`FreiHANDTraining` whose heat maps are drawn in Python."""

    def _finished(self, sample: HandSample) -> dict[str, np.ndarray]:
        settings = self.settings
        maps = [half_size(draw_heatmap(landmark, settings.size)) for landmark in sample.landmarks_px]
        return {
            "image": to_network_input(sample.image, settings.mean, settings.std),
            "mesh": (sample.vertices_m / MESH_SCALE_M).astype(np.float32),
            "landmarks_px": sample.landmarks_px.astype(np.float32),
            "heatmaps": np.stack(maps),
            "silhouette": half_size(sample.mask).astype(np.float32) / 255,
        }


def draw_heatmap(landmark_px: np.ndarray, size: int) -> np.ndarray:
    """A Gaussian patch around a landmark (2,) in a map (size, size) float32, cut off at the borders."""
    heatmap = np.zeros((size, size), np.float32)
    x, y = np.rint(landmark_px).astype(int)
    if x < 0 or y < 0:
        return heatmap
    steps = np.arange(-PATCH_RADIUS_PX, PATCH_RADIUS_PX + 1)
    patch = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * SIGMA_PX**2))
    left, top = max(0, x - PATCH_RADIUS_PX), max(0, y - PATCH_RADIUS_PX)
    right, bottom = min(size, x + PATCH_RADIUS_PX + 1), min(size, y + PATCH_RADIUS_PX + 1)
    if left < right and top < bottom:
        corner_x, corner_y = x - PATCH_RADIUS_PX, y - PATCH_RADIUS_PX
        cut = patch[top - corner_y : bottom - corner_y, left - corner_x : right - corner_x]
        heatmap[top:bottom, left:right] = cut
    return heatmap
