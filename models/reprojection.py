"""The last step of the registration for the mobile network: landmarks fitted where they were seen, in the image.

The linear fit of `models.registration` puts the error into the mesh, and a mesh that is unsure of its fingers is
smaller than the hand: the hand comes out too near. What a network predicts is the mean of what it deems possible, so
the landmarks scatter about the projected mesh and not the other way round; a fit that puts the error into the image is
right on average. Its landmarks count as much as their heat maps are high.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

import torch
from torch import Tensor

from models.registration import Registration, bounded_minimum, is_plausible

ITERATIONS = 5  # of Gauss-Newton; from the linear fit two or three change anything


def refine(
    found: Registration, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, image_size: int
) -> Registration:
    """The translation that minimises the weighted squared distances, in pixels, of projected joints to landmarks.

    Args:
        found: where to start; kept for hands for which nothing better is found.
        joints: (B, J, 3) root-relative, metres.
        landmarks_px: (B, J, 2).
        weight: (B, J), not negative.
        K: (B, 3, 3).
        image_size: side of the image, pixels.

    Returns:
        A `Registration`; where something better was found its residual is that of all landmarks, those that the linear
        fit left out as well.
    """
    joints, landmarks_px, weight, K = joints.double(), landmarks_px.double(), weight.double(), K.double()
    translation = found.translation_m
    moments = before = _moments(_rows(translation, joints, landmarks_px, K), weight)
    for _ in range(ITERATIONS):
        translation = translation + bounded_minimum(moments, translation[:, 2:])
        rows = _rows(translation, joints, landmarks_px, K)
        moments = _moments(rows, weight)
    better = moments[:, 3, 3] < before[:, 3, 3]  # false for NaN
    residual = rows[..., 3].square().sum(-1).mean(-1).sqrt()
    reliable = found.success & is_plausible(translation, residual, image_size)
    return Registration(
        torch.where(better[:, None], translation, found.translation_m),
        torch.where(better, residual, found.residual_px),
        torch.where(better, reliable, found.success),
    )


def _rows(translation: Tensor, joints: Tensor, landmarks_px: Tensor, K: Tensor) -> Tensor:
    """Derivative of each projection by the translation, and its distance to the landmark: (B, J, 2, 4) pixels."""
    projected = (joints + translation[:, None]) @ K.mT  # (B, J, 3)
    depth = projected[..., 2:]
    pixel = projected[..., :2] / depth
    slopes = (K[:, None, :2] - pixel[..., None] * K[:, None, 2:]) / depth[..., None]
    return torch.cat([slopes, (pixel - landmarks_px)[..., None]], dim=-1)


def _moments(rows: Tensor, weight: Tensor) -> Tensor:
    """Weighted R^T R (B, 4, 4) of rows (B, J, 2, 4)."""
    flat = rows.flatten(1, 2)
    return (flat * weight.repeat_interleave(2, dim=1)[..., None]).mT @ flat
