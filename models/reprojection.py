"""The last step of the registration for the mobile network: landmarks fitted where they were seen, in the image.

The linear fit of `models.registration` puts the error into the mesh, and a mesh that is unsure of its fingers is
smaller than the hand: the hand comes out too near. What a network predicts is the mean of what it deems possible, so
the landmarks scatter about the projected mesh and not the other way round; a fit that puts the error into the image is
right on average. Its landmarks count as much as their heat maps are high.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

import torch
from torch import Tensor

from models.registration import MIN_LANDMARKS, Registration, bounded_minimum, is_plausible

ITERATIONS = 5  # of Gauss-Newton; from the linear fit two or three change anything
OUTLIER = 3.5  # median distances from the projected joint: such a landmark is on something else,
OUTLIER_FRACTION = 0.02  # if that is more than this of the image size
NEAR_PX = 1.0  # distances that count alike when the sum of distances is minimised


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
        A `Registration`; where something better was found, its residual is of the landmarks that are no outliers, and
        it is no success with fewer than `MIN_LANDMARKS` of them.
    """
    joints, K = joints.double(), K.double()
    seen = torch.isfinite(landmarks_px).all(-1)
    landmarks_px = torch.where(seen[..., None], landmarks_px.double(), 0.0)  # NaN times zero would be NaN
    everything = torch.where(seen, weight.double(), 0.0)
    translation, usual = fit_distances(found.translation_m, joints, landmarks_px, everything, K, image_size)
    used = seen & usual
    weight = torch.where(used, everything, 0.0)
    translation = gauss_newton(translation, joints, landmarks_px, weight, K)
    rows = _rows(translation, joints, landmarks_px, K)
    before = _moments(_rows(found.translation_m, joints, landmarks_px, K), weight)
    better = _moments(rows, weight)[:, 3, 3] < before[:, 3, 3]  # false for NaN
    squared = torch.where(used, rows[..., 3].square().sum(-1), 0.0)
    count = used.sum(-1)
    residual = (squared.sum(-1) / count).sqrt()
    reliable = found.success & (count >= MIN_LANDMARKS) & is_plausible(translation, residual, image_size)
    return Registration(
        torch.where(better[:, None], translation, found.translation_m),
        torch.where(better, residual, found.residual_px),
        torch.where(better, reliable, found.success),
    )


def fit_distances(
    translation: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, image_size: int
) -> tuple[Tensor, Tensor]:
    """The translation that minimises the weighted sum of distances, not squared, from where outliers are told.

    The linear fit cannot tell them: it leaves out the fingers of a hand that it sees too near.

    Args:
        translation: (B, 3) where to start; the others are as of `refine`, float64 and finite.

    Returns:
        translation (B, 3), and which landmarks (B, J) are no outliers.
    """
    translation = gauss_newton(translation, joints, landmarks_px, weight, K, NEAR_PX)
    distance = _distances(_rows(translation, joints, landmarks_px, K))
    limit = (OUTLIER * _weighted_median(distance, weight)).clamp(min=OUTLIER_FRACTION * image_size)
    return translation, distance <= limit


def gauss_newton(
    translation: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, near_px: float = 0.0
) -> Tensor:
    """The translation (B, 3) that minimises the weighted squared distances, from where to start.

    Args:
        near_px: where above 0, the distances are minimised and not their squares; below it they count alike.
    """
    batch = (translation, joints, landmarks_px, weight, K)
    if joints.device.type != "cpu":
        return gauss_newton_tensors(*batch, near_px)
    from models import reprojection_cpu  # compiled when first used

    arrays = [tensor.detach().double().contiguous().numpy() for tensor in batch]
    return torch.from_numpy(reprojection_cpu.gauss_newton(*arrays, near_px, ITERATIONS))


def gauss_newton_tensors(
    translation: Tensor, joints: Tensor, landmarks_px: Tensor, weight: Tensor, K: Tensor, near_px: float
) -> Tensor:
    """`gauss_newton` as tensor operations, on any device."""
    for _ in range(ITERATIONS):
        rows = _rows(translation, joints, landmarks_px, K)
        counts = weight / _distances(rows).clamp(min=near_px) if near_px else weight
        translation = translation + bounded_minimum(_moments(rows, counts), translation[:, 2:])
    return translation


def _distances(rows: Tensor) -> Tensor:
    """From projected joints to landmarks, (B, J) pixels."""
    return torch.linalg.vector_norm(rows[..., 3], dim=-1)


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """(B, J) -> (B, 1): the smallest value up to which half of the weight lies."""
    values, order = values.sort(dim=1)
    share = weight.gather(1, order).cumsum(dim=1)
    return values.gather(1, (share >= share[:, -1:] / 2).int().argmax(dim=1, keepdim=True))


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
