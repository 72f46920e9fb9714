"""Registration of a network whose landmarks are means: fitted where they were seen, in the image.

The linear fit of `models.registration` puts the error into the mesh, and a mesh that is unsure of its fingers is
smaller than the hand: the hand comes out too near. What a network predicts is the mean of what it deems possible, so
the landmarks scatter about the projected mesh and not the other way round; a fit that puts the error into the image is
right on average. Its landmarks count as much as their heat maps are high.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

import torch
from torch import Tensor, nn

from models.registration import MIN_LANDMARKS, Registration, bounded_minimum, fit_landmarks, is_plausible, root_mean

ITERATIONS = 5  # of Gauss-Newton; from the linear fit two or three change anything
OUTLIER = 3.5  # median distances from the projected joint: such a landmark is on something else,
OUTLIER_FRACTION = 0.02  # if that is more than this of the image size
NEAR_PX = 1.0  # distances that count alike when the sum of distances is minimised
USUAL_DISTANCE_M = 0.77  # geometric middle of the depths that the registration looks through
SMALLEST_SPREAD_M, SMALLEST_SPREAD_PX = 1e-3, 1.0


class LandmarkRegistration(nn.Module):
    """The linear fit, then distances in the image. Finds hands at any distance: a hand twice as large looks the same
    at twice the distance, so each is registered at the size that brings it to the usual one."""

    def forward(
        self, joints: Tensor, landmarks_px: Tensor, confidence: Tensor, K: Tensor, image_size: Tensor
    ) -> Registration:
        """Find the camera-space translation of a batch of hands. All arguments are float64.

        Args:
            joints: (B, J, 3) root-relative, metres.
            landmarks_px: (B, J, 2) predicted 2D landmarks.
            confidence: (B, J) weight of each, not negative.
            K: (B, 3, 3) intrinsics of the image the landmarks are in.
            image_size: () side of that image, pixels.
        """
        unit = usual_distance(joints, landmarks_px, K)
        joints = joints * unit[:, None, None]
        start, used = fit_landmarks(joints, landmarks_px, torch.ones_like(confidence), K)
        found = refine(start, used, joints, landmarks_px, confidence, K, image_size)
        return Registration(found.translation_m / unit[:, None], found.residual_px, found.success)


def usual_distance(joints: Tensor, landmarks_px: Tensor, K: Tensor) -> Tensor:
    """How much larger hands (B, J, 3) had to be to be at `USUAL_DISTANCE_M`: (B,)."""
    spread_m = _spread(joints[..., :2]).clamp(min=SMALLEST_SPREAD_M)
    spread_px = _spread(landmarks_px).clamp(min=SMALLEST_SPREAD_PX)
    return USUAL_DISTANCE_M * spread_px / (K[:, 0, 0] * spread_m)


def _spread(points: Tensor) -> Tensor:
    """Standard deviation (B,) of points (B, J, 2) about their mean."""
    squared = (points - points.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2))
    return (squared / (points.shape[1] - 1)).sqrt()


def refine(
    start: Tensor, used: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, image_size: Tensor
) -> Registration:
    """The translation that minimises the weighted squared distances, in pixels, of projected joints to landmarks.

    Args:
        start: (B, 3) of the linear fit, kept for hands for which nothing better is found.
        used: (B, J) landmarks that the linear fit was fitted to.
        joints, landmarks_px, weight, K, image_size: as of `LandmarkRegistration`.

    Returns:
        A `Registration`. Its residual is of the landmarks that are no outliers, or of those that `start` was fitted
        to where nothing better was found; it is no success with fewer than `MIN_LANDMARKS` of either.
    """
    translation, usual = fit_distances(start, joints, landmarks_px, weight, K, image_size)
    weight = torch.where(usual, weight, 0.0)
    translation = gauss_newton(translation, joints, landmarks_px, weight, K)
    squared, before = (_distances(_offsets(t, joints, landmarks_px, K)).square() for t in (translation, start))
    better = ((weight * squared).sum(-1) < (weight * before).sum(-1))[:, None]  # false for NaN
    translation = torch.where(better, translation, start)
    kept = (usual & better) | (used & ~better)
    residual = root_mean(torch.where(better, squared, before), kept)
    success = _is_success(start, root_mean(before, used), used, image_size)
    return Registration(translation, residual, success & _is_success(translation, residual, kept, image_size))


def _is_success(translation: Tensor, residual_px: Tensor, used: Tensor, image_size: Tensor) -> Tensor:
    enough = used.double().sum(-1) >= MIN_LANDMARKS
    return enough & is_plausible(translation, residual_px, image_size)


def fit_distances(
    translation: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, image_size: Tensor
) -> tuple[Tensor, Tensor]:
    """The translation that minimises the weighted sum of distances, not squared, from where outliers are told.

    The linear fit cannot tell them: it leaves out the fingers of a hand that it sees too near.

    Args:
        translation: (B, 3) where to start; the others are as of `refine`.

    Returns:
        translation (B, 3), and which landmarks (B, J) are no outliers.
    """
    translation = gauss_newton(translation, joints, landmarks_px, weight, K, NEAR_PX)
    distance = _distances(_offsets(translation, joints, landmarks_px, K))
    limit = (OUTLIER * _weighted_median(distance, weight)).clamp(min=OUTLIER_FRACTION * image_size)
    return translation, distance <= limit


def gauss_newton(
    translation: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, near_px: float = 0.0
) -> Tensor:
    """The translation (B, 3) that minimises the weighted squared distances, from where to start.

    Args:
        near_px: where above 0, the distances are minimised and not their squares; below it they count alike.
    """
    for _ in range(ITERATIONS):
        rows = _offsets(translation, joints, landmarks_px, K)
        counts = weight / _distances(rows).clamp(min=near_px) if near_px else weight
        moments = ((rows * counts[..., None, None]).flatten(1, 2)).transpose(1, 2) @ rows.flatten(1, 2)
        translation = translation + bounded_minimum(moments, translation[:, 2])
    return translation


def _distances(rows: Tensor) -> Tensor:
    """From projected joints to landmarks, (B, J) pixels."""
    return rows[..., 3].square().sum(-1).sqrt()


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """(B, J) -> (B, 1): the smallest value up to which half of the weight lies."""
    values, order = values.sort(dim=1)
    share = weight.gather(1, order).cumsum(dim=1)
    below = (share < share[:, -1:] / 2).long().sum(dim=1, keepdim=True)
    return values.gather(1, below)


def _offsets(translation: Tensor, joints: Tensor, landmarks_px: Tensor, K: Tensor) -> Tensor:
    """Derivative of each projection by the translation, and its distance to the landmark: (B, J, 2, 4) pixels."""
    projected = (joints + translation[:, None]) @ K.transpose(1, 2)  # (B, J, 3)
    depth = projected[..., 2:]
    pixel = projected[..., :2] / depth
    slopes = (K[:, None, :2] - pixel[..., None] * K[:, None, 2:]) / depth[..., None]
    return torch.cat([slopes, (pixel - landmarks_px)[..., None]], dim=-1)
