"""Target heat maps of 2D landmarks, in closed form."""

import torch
from torch import Tensor

PATCH_RADIUS_PX = 6
SIGMA_PX = 3.5


def landmark_heatmaps(landmarks_px: Tensor, image_size: int) -> Tensor:
    """A 13 x 13 Gaussian patch with peak 1 around each landmark's pixel, clipped at the borders, at half the size.

    The patch is separable, and so is averaging blocks of 2 x 2 pixels (what a bilinear resize to half the size does):
    each map is an outer product of two vectors.

    Args:
        landmarks_px: (B, J, 2) positions, rounded to pixels here. A landmark left of or above the image, or one that is
            not a number, has no patch.
        image_size: side of the full-resolution map.

    Returns:
        (B, J, image_size / 2, image_size / 2) float32.
    """
    pixels = landmarks_px.round().nan_to_num(-1)[..., None]  # (B, J, 2, 1)
    outside = PATCH_RADIUS_PX + 1  # as far as it needs to be known: the exponential of large numbers is slow
    offsets = (torch.arange(image_size, device=pixels.device) - pixels).clamp(-outside, outside)
    profile = torch.exp(-offsets.square() / (2 * SIGMA_PX**2)) * (offsets.abs() < outside)
    profile = profile * (pixels >= 0).all(dim=2, keepdim=True)
    profile = ((profile[..., 0::2] + profile[..., 1::2]) / 2).float()
    return profile[:, :, 1, :, None] * profile[:, :, 0, None, :]
