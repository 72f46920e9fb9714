"""Target heat maps of 2D landmarks, in closed form."""

import numpy as np

PATCH_RADIUS_PX = 6
SIGMA_PX = 3.5


def landmark_heatmaps(landmarks_px: np.ndarray, image_size: int, downscale: int = 1) -> np.ndarray:
    """A 13 x 13 Gaussian patch with peak 1 around each landmark's pixel, clipped at the borders.

    The patch is separable, and so is averaging blocks of pixels (what a bilinear resize by an integer factor of two
    does): each map is an outer product of two vectors.

    Args:
        landmarks_px: (J, 2) positions, rounded to pixels here. A landmark left of or above the image has no patch.
        image_size: side of the full-resolution map.
        downscale: 1, or 2 for maps of half the size.

    Returns:
        (J, image_size / downscale, image_size / downscale) float32.
    """
    pixels = np.rint(landmarks_px)
    offsets = np.arange(image_size) - pixels[:, :, None]  # (J, 2, image_size)
    profile = np.where(np.abs(offsets) <= PATCH_RADIUS_PX, np.exp(-(offsets**2) / (2 * SIGMA_PX**2)), 0)
    profile *= (pixels >= 0).all(axis=1)[:, None, None]
    profile = profile.reshape(*profile.shape[:2], -1, downscale).mean(axis=-1).astype(np.float32)
    return profile[:, 1, :, None] * profile[:, 0, None, :]
