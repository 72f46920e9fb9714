"""Adaptive 2D-1D registration: from a root-relative mesh to camera space (paper section 3.3).

The network predicts the mesh relative to the wrist. The translation that puts it in front of the camera is found
from what the network saw in the image: 21 landmarks (2D stage, linear) and the outline of the silhouette (1D stage,
non-linear). Everything is batched torch and stays on the device of its inputs; the arithmetic is float64, because
the normal equations of focal lengths near 1000 px lose the millimetres in float32.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

DEPTH_BOUNDS_M = (0.3, 2.0)  # wrist depth range of FreiHAND, with a margin
FALLBACK_DEPTH_M = 0.7  # reported, flagged as a failure, when nothing at all can be fitted
MIN_CONFIDENCE = 0.1  # landmarks below this heat-map maximum take no part
MIN_LANDMARKS = 13  # the outlier rejection never leaves fewer
MAX_REJECTIONS = 5
MAX_MEAN_ERROR = 2.0  # rejection goes on while the mean algebraic error, in pixel metres, is above this
NUM_AXES = 12  # one every 15 degrees
KEEP_2D_BELOW_M = 0.02  # both stages agree: the 2D stage is the more precise one
TAKE_1D_ABOVE_M = 0.06  # they contradict each other: the outline is the more robust one
EXTENT_ITERATIONS = 30
MAX_RESIDUAL_FRACTION = 0.05  # a success reprojects to within this fraction of the image size (RMS)


@dataclass(frozen=True)
class Registration:
    """What the registration of a batch of B hands found.

    Attributes:
        translation_m: (B, 3) float64, to be added to the root-relative mesh; camera frame.
        residual_px: (B,) float64, root mean square reprojection error of the landmarks in use; infinite when no
            landmark could be used.
        success: (B,) bool. True when the 2D stage had at least `MIN_LANDMARKS` landmarks or the outline was there
            to decide, no depth bound is active, and the residual is below 5 % of the image size.
    """

    translation_m: Tensor
    residual_px: Tensor
    success: Tensor


def projection_axes(device: torch.device | None = None) -> Tensor:
    """Unit vectors of the 1D stage, one every 15 degrees of the half circle: (12, 2) float64."""
    angles = torch.arange(NUM_AXES, dtype=torch.float64, device=device) * (torch.pi / NUM_AXES)
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def contour_extents(contour_px: Tensor) -> Tensor:
    """Smallest and largest projection of a contour on every axis.

    Args:
        contour_px: (..., N, 2) points, N >= 1.

    Returns:
        (..., 2, 12) float64: minima, then maxima, in pixels.
    """
    along = contour_px.to(torch.float64) @ projection_axes(contour_px.device).T  # (..., N, 12)
    return torch.stack([along.amin(dim=-2), along.amax(dim=-2)], dim=-2)


def fit_landmarks(joints: Tensor, landmarks_px: Tensor, confidence: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """2D stage: the translation that minimises the mean squared algebraic landmark error (paper equation 6).

    The error `K (X + t) - (Z + t_z) [u, v, 1]` is linear in t, so the minimum under the depth bounds is exact.
    Landmarks whose error exceeds mean + standard deviation are dropped while the mean stays above 2. As in the
    reference, the error that decides about a landmark is |e_u + e_v|.

    Args:
        joints: (B, J, 3) root-relative, metres.
        landmarks_px: (B, J, 2).
        confidence: (B, J), landmarks at or below 0.1 are ignored.
        K: (B, 3, 3).

    Returns:
        translation (B, 3) float64 and the mask (B, J) of the landmarks it was fitted to.
    """
    joints, landmarks_px, K = joints.double(), landmarks_px.double(), K.double()
    # Row 0 and 1 of K minus the pixel times row 2: (B, J, 2, 3); error = design (X + t).
    design = K[:, None, :2] - landmarks_px[..., None] * K[:, None, 2:]
    offset = (design @ joints[..., None]).squeeze(-1)  # (B, J, 2)
    used = (confidence > MIN_CONFIDENCE) & torch.isfinite(offset).all(-1) & torch.isfinite(design).all((-1, -2))
    design = torch.where(used[..., None, None], design, 0.0)
    offset = torch.where(used[..., None], offset, 0.0)

    translation = _solve_bounded(design, offset, used)
    for _ in range(MAX_REJECTIONS):
        residual = offset + (design @ translation[:, None, :, None]).squeeze(-1)  # (B, J, 2)
        error = residual.sum(-1).abs()
        count = used.sum(-1).clamp(min=1)
        mean = (error * used).sum(-1) / count
        deviation = ((error - mean[:, None]).square() * used).sum(-1).div(count).sqrt()
        kept = used & (error <= (mean + deviation)[:, None])
        reject = (mean > MAX_MEAN_ERROR) & (kept.sum(-1) >= MIN_LANDMARKS)
        used = torch.where(reject[:, None], kept, used)
        translation = torch.where(reject[:, None], _solve_bounded(design, offset, used), translation)
    return translation, used


def _solve_bounded(design: Tensor, offset: Tensor, used: Tensor) -> Tensor:
    """Minimum of sum |design t + offset|^2 over the landmarks in use, with the depth inside its bounds.

    One bounded variable: the constrained minimum is the free one, or lies on the violated bound.
    """
    rows = torch.where(used[..., None, None], design, 0.0).flatten(1, 2)  # (B, 2 J, 3)
    right = torch.where(used[..., None], offset, 0.0).flatten(1, 2)  # (B, 2 J)
    normal = rows.mT @ rows
    gradient = (rows.mT @ right[..., None]).squeeze(-1)
    free, _ = torch.linalg.solve_ex(normal, -gradient)
    depth = torch.nan_to_num(free[:, 2:], nan=FALLBACK_DEPTH_M).clamp(*DEPTH_BOUNDS_M)
    lateral, _ = torch.linalg.solve_ex(normal[:, :2, :2], -(gradient[:, :2] + normal[:, :2, 2] * depth))
    lateral = torch.where(torch.isfinite(lateral).all(-1, keepdim=True), lateral, 0.0)
    return torch.cat([lateral, depth], dim=-1)


def fit_extents(vertices: Tensor, extents_px: Tensor, K: Tensor, image_size: int, start: Tensor) -> Tensor:
    """1D stage: match the mesh's extents on 12 axes to those of the silhouette (paper equation 7).

    Levenberg-Marquardt on the 24 extents, started from `start`; the vertex that attains an extent may change from
    one iteration to the next. A step is taken only if it lowers the objective, so the result is never worse than
    the start.

    Args:
        vertices: (B, V, 3) root-relative, metres.
        extents_px: (B, 2, 12) from `contour_extents`.
        K: (B, 3, 3).
        image_size: side of the image in pixels, the unit of the objective.
        start: (B, 3) metres, depth inside the bounds.

    Returns:
        translation (B, 3) float64.
    """
    vertices, extents_px, K = vertices.double(), extents_px.double(), K.double()
    axes = projection_axes(vertices.device)
    translation = start.double()
    damping = torch.full_like(translation[:, 0], 1e-3)
    residual, jacobian = _extent_residual(vertices, extents_px, K, axes, image_size, translation)
    objective = residual.square().sum(-1)
    for _ in range(EXTENT_ITERATIONS):
        normal = jacobian.mT @ jacobian
        gradient = (jacobian.mT @ residual[..., None]).squeeze(-1)
        diagonal = torch.diagonal(normal, dim1=-2, dim2=-1)
        normal = normal + torch.diag_embed(diagonal * damping[:, None] + 1e-12)
        trial = translation + _bounded_step(normal, gradient, translation[:, 2:])
        trial_residual, trial_jacobian = _extent_residual(vertices, extents_px, K, axes, image_size, trial)
        trial_objective = trial_residual.square().sum(-1)
        better = trial_objective < objective  # false for NaN
        translation = torch.where(better[:, None], trial, translation)
        residual = torch.where(better[:, None], trial_residual, residual)
        jacobian = torch.where(better[:, None, None], trial_jacobian, jacobian)
        objective = torch.where(better, trial_objective, objective)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-9, 1e9)
    return translation


def _bounded_step(normal: Tensor, gradient: Tensor, depth: Tensor) -> Tensor:
    """Newton step whose depth stays inside the bounds; the other two solve for the depth actually taken."""
    free, _ = torch.linalg.solve_ex(normal, -gradient)
    forward = (depth + free[:, 2:]).clamp(*DEPTH_BOUNDS_M) - depth
    lateral, _ = torch.linalg.solve_ex(normal[:, :2, :2], -(gradient[:, :2] + normal[:, :2, 2] * forward))
    return torch.cat([lateral, forward], dim=-1)


def _extent_residual(
    vertices: Tensor, extents_px: Tensor, K: Tensor, axes: Tensor, image_size: int, translation: Tensor
) -> tuple[Tensor, Tensor]:
    """Residual (B, 24) in image sizes and its Jacobian (B, 24, 3) for the vertices that attain the extents."""
    points = vertices + translation[:, None]
    projected = points @ K.mT  # (B, V, 3)
    pixels = projected[..., :2] / projected[..., 2:]
    along = pixels @ axes.T  # (B, V, 12)
    extreme = torch.stack([along.argmin(dim=1), along.argmax(dim=1)], dim=1)  # (B, 2, 12)
    residual = (along.gather(1, extreme) - extents_px) / image_size

    index = extreme.flatten(1)[..., None]  # (B, 24, 1)
    pixel = pixels.gather(1, index.expand(-1, -1, 2))
    depth = projected[..., 2:].gather(1, index)
    # d pixel / d t = (K[:2] - pixel K[2]) / depth
    slope = (K[:, None, :2] - pixel[..., None] * K[:, None, 2:]) / depth[..., None]  # (B, 24, 2, 3)
    direction = axes.repeat(2, 1)[None, :, None]  # (1, 24, 1, 2)
    jacobian = (direction @ slope).squeeze(-2) / image_size
    return residual.flatten(1), jacobian


def blend(from_landmarks: Tensor, from_extents: Tensor) -> Tensor:
    """The adaptive part: keep the 2D result where both agree, the 1D result where they do not, both (B, 3)."""
    distance = torch.linalg.vector_norm(from_landmarks - from_extents, dim=-1, keepdim=True)
    weight = ((distance - KEEP_2D_BELOW_M) / (TAKE_1D_ABOVE_M - KEEP_2D_BELOW_M)).clamp(0, 1)
    return torch.lerp(from_landmarks, from_extents, weight)


def register(
    vertices: Tensor,
    joints: Tensor,
    landmarks_px: Tensor,
    confidence: Tensor,
    K: Tensor,
    image_size: int,
    extents_px: Tensor | None = None,
) -> Registration:
    """Find the camera-space translation of a batch of hands. Never raises for what a network may predict.

    Args:
        vertices: (B, V, 3) root-relative mesh, metres.
        joints: (B, J, 3) its joints, metres.
        landmarks_px: (B, J, 2) predicted 2D landmarks.
        confidence: (B, J) heat-map maxima in [0, 1].
        K: (B, 3, 3) intrinsics of the image the landmarks are in.
        image_size: side of that image, pixels.
        extents_px: (B, 2, 12) silhouette extents; NaN for a hand without silhouette; None skips the 1D stage.

    Returns:
        A `Registration`.
    """
    translation, used = fit_landmarks(joints, landmarks_px, confidence, K)
    outlined = torch.zeros_like(used[:, 0])
    if extents_px is not None:
        outlined = torch.isfinite(extents_px).all((-1, -2)) & torch.isfinite(vertices).all((-1, -2))
        refined = fit_extents(vertices, extents_px, K, image_size, translation)
        translation = torch.where(outlined[:, None], blend(translation, refined), translation)

    projected = (joints.double() + translation[:, None]) @ K.double().mT
    error = (projected[..., :2] / projected[..., 2:] - landmarks_px.double()).square().sum(-1)
    count = used.sum(-1)
    residual = torch.where(used, error, 0.0).sum(-1).div(count.clamp(min=1)).sqrt()
    residual = torch.where((count > 0) & torch.isfinite(residual), residual, torch.inf)

    low, high = DEPTH_BOUNDS_M
    inside = (translation[:, 2] > low) & (translation[:, 2] < high)
    enough = (count >= MIN_LANDMARKS) | (outlined & (count > 0))
    success = enough & inside & (residual <= MAX_RESIDUAL_FRACTION * image_size)
    return Registration(translation, residual, success)
