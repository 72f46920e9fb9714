"""Adaptive 2D-1D registration: from a root-relative mesh to camera space (paper section 3.3).

The network predicts the mesh relative to the wrist. The translation that puts it in front of the camera is found
from what the network saw in the image: 21 landmarks (2D stage, linear) and the outline of the silhouette (1D stage,
non-linear). Everything is batched torch and stays on the device of its inputs; the arithmetic is float64, because
the normal equations of focal lengths near 1000 px lose the millimetres in float32.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.compiled import in_shares

DEPTH_BOUNDS_M = (0.3, 2.0)  # wrist depth range of FreiHAND, with a margin
FALLBACK_DEPTH_M = 0.7  # reported, flagged as a failure, when nothing at all can be fitted
MIN_CONFIDENCE = 0.1  # landmarks below this heat-map maximum take no part
MIN_LANDMARKS = 13  # the outlier rejection never leaves fewer
MAX_REJECTIONS = 5
MAX_MEAN_ERROR = 2.0  # rejection goes on while the mean algebraic error, in pixel metres, is above this
NUM_AXES = 12  # one every 15 degrees
KEEP_2D_BELOW_M = 0.02  # both stages agree: the 2D stage is the more precise one
TAKE_1D_ABOVE_M = 0.06  # they contradict each other: the outline is the more robust one
HANDS_PER_THREAD = 8  # of a batch on a CPU; a thread costs about as much as two hands
EXTENT_ITERATIONS = 15  # four or five are enough for most hands
INITIAL_DAMPING, DAMPING_DOWN, DAMPING_UP = 1e-4, 5.0, 8.0
REGULARIZATION = 1e-12  # of the normal equations, in image sizes per metre, squared
SETTLED_GAIN = 1e-9  # relative decrease of the objective that is not worth another iteration
SETTLED_STEP_M = 1e-8
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
    rows = torch.cat([design, design @ joints[..., None]], dim=-1)  # (B, J, 2, 4), the last column is the offset
    used = (confidence > MIN_CONFIDENCE) & torch.isfinite(rows).all(-1).all(-1)
    rows = torch.where(used[..., None, None], rows, 0.0)
    products = (rows.mT @ rows).flatten(2)  # (B, J, 16), summed over the landmarks in use for each solution
    summed = rows.sum(dim=2)  # (B, J, 4): e_u + e_v = summed (t, 1)

    translation = bounded_minimum(products.sum(dim=1).unflatten(1, (4, 4)))
    for _ in range(MAX_REJECTIONS):
        error = ((summed[..., :3] @ translation[..., None]).squeeze(-1) + summed[..., 3]).abs()
        weight = used.double()
        count = weight.sum(-1).clamp(min=1)
        mean = (error * weight).sum(-1) / count
        deviation = ((error - mean[:, None]).square() * weight).sum(-1).div(count).sqrt()
        kept = used & (error <= (mean + deviation)[:, None])
        reject = (mean > MAX_MEAN_ERROR) & (kept.sum(-1) >= MIN_LANDMARKS)
        if _known_without_waiting(~reject):
            break
        used = torch.where(reject[:, None], kept, used)
        moments = (used.double()[:, None] @ products).unflatten(2, (4, 4)).squeeze(1)
        translation = torch.where(reject[:, None], bounded_minimum(moments), translation)
    return translation, used


def _known_without_waiting(conditions: Tensor) -> bool:
    """Whether all conditions hold, asked only where the answer is at hand: a GPU would have to be waited for."""
    return conditions.device.type == "cpu" and bool(conditions.all())


def bounded_minimum(moments: Tensor, depth: Tensor | float = 0.0) -> Tensor:
    """Step (B, 3) that minimises a sum of squares, with the depth it leads to inside its bounds.

    One bounded variable: with the other two eliminated, the constrained minimum is the free one or lies on the bound.

    Args:
        moments: (B, 4, 4), R^T R of the rows R = [design, offset], whose error is design t + offset.
        depth: (B, 1) that the step starts from.
    """
    lateral = torch.linalg.solve_ex(moments[:, :2, :2], moments[:, :2, 2:]).result  # (B, 2, 2): per depth, and at zero
    coefficients = moments[:, 2, 2:] - (moments[:, None, 2, :2] @ lateral).squeeze(1)
    forward = -coefficients[:, 1:] / coefficients[:, :1]
    forward = torch.nan_to_num(depth + forward, nan=FALLBACK_DEPTH_M).clamp(*DEPTH_BOUNDS_M) - depth
    sideways = -(lateral[..., 1] + lateral[..., 0] * forward)
    return torch.cat([torch.nan_to_num(sideways, nan=0.0, posinf=0.0, neginf=0.0), forward], dim=-1)


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
    outline = _Outline(vertices.double(), extents_px.double(), K.double(), image_size)
    translation = start.double()
    damping = torch.full_like(translation[:, :1], INITIAL_DAMPING)
    moments = outline.moments(translation)
    for _ in range(EXTENT_ITERATIONS):
        damped = moments.clone()
        diagonal = damped.diagonal(dim1=-2, dim2=-1)[:, :3]
        diagonal.addcmul_(diagonal, damping).add_(REGULARIZATION)
        step = bounded_minimum(damped, translation[:, 2:])
        trial = translation + step
        trial_moments = outline.moments(trial)
        gain = moments[:, 3, 3] - trial_moments[:, 3, 3]
        better = (gain > 0)[:, None]  # false for NaN
        settled = better.squeeze(1) & (gain <= SETTLED_GAIN * moments[:, 3, 3])
        settled |= step.abs().amax(-1) < SETTLED_STEP_M
        translation = torch.where(better, trial, translation)
        moments = torch.where(better[..., None], trial_moments, moments)
        damping = torch.where(better, damping / DAMPING_DOWN, damping * DAMPING_UP).clamp(1e-9, 1e9)
        if _known_without_waiting(settled):
            break
    return translation


class _Outline:
    """Extents of a batch of projected meshes against those of their silhouettes, as a function of the translation."""

    def __init__(self, vertices: Tensor, extents_px: Tensor, K: Tensor, image_size: int) -> None:
        self.K, self.image_size = K, image_size
        self.projected = K @ vertices.mT  # (B, 3, V)
        # Which vertex is outermost is decided in float32; where it lies is computed in float64.
        self.rough = self.projected.float()
        self.extents_px = extents_px.flatten(1)
        axes = projection_axes(vertices.device)
        self.rough_axes = axes.float()
        self.directions = axes.repeat(2, 1).T  # (2, 24)
        self.slopes = (self.directions.T @ K[:, :2]).contiguous()  # (B, 24, 3)
        self.forward = K[:, None, 2]  # (B, 1, 3)

    def moments(self, translation: Tensor) -> Tensor:
        """R^T R (B, 4, 4) of R = [Jacobian, residual] in image sizes, for the vertices that attain the extents."""
        shift = self.K @ translation[..., None]  # (B, 3, 1)
        rough = self.rough + shift.float()
        along = self.rough_axes @ (rough[:, :2] / rough[:, 2:])  # (B, 12, V)
        # `min` and `max` with their indices are several times faster than `argmin` and `argmax`.
        outermost = torch.cat([along.min(dim=-1).indices, along.max(dim=-1).indices], dim=-1)  # (B, 24)
        points = self.projected.gather(2, outermost[:, None].expand(-1, 3, -1)) + shift
        depth = points[:, 2]
        position = (points[:, :2] * self.directions).sum(1) / depth
        # d pixel / d t = (K[:2] - pixel K[2]) / depth
        jacobian = (self.slopes - position[..., None] * self.forward) / depth[..., None]
        rows = torch.cat([jacobian, (position - self.extents_px)[..., None]], dim=-1) / self.image_size
        return rows.mT @ rows


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
    batch = (vertices, joints, landmarks_px, confidence, K)
    if vertices.device.type == "cpu":
        translation, used, outlined, residual = _with_compiled_loops(*batch, image_size, extents_px)
    else:
        translation, used, outlined, residual = register_tensors(*batch, image_size, extents_px)
    count = used.sum(-1)
    enough = (count >= MIN_LANDMARKS) | (outlined & (count > 0))
    return Registration(translation, residual, enough & is_plausible(translation, residual, image_size))


def is_plausible(translation: Tensor, residual_px: Tensor, image_size: int) -> Tensor:
    """Whether translations (B, 3) are inside the bounds of the depth and reproject well: (B,)."""
    low, high = DEPTH_BOUNDS_M
    inside = (translation[:, 2] > low) & (translation[:, 2] < high)
    return inside & (residual_px <= MAX_RESIDUAL_FRACTION * image_size)


Stages = tuple[Tensor, Tensor, Tensor, Tensor]


def register_tensors(
    vertices: Tensor,
    joints: Tensor,
    landmarks_px: Tensor,
    confidence: Tensor,
    K: Tensor,
    image_size: int,
    extents_px: Tensor | None,
) -> Stages:
    """Both stages and their blend as tensor operations, on any device; arguments as in `register`.

    Returns:
        translation (B, 3), landmarks in use (B, J), whether there was an outline (B,), residual (B,) in pixels.
    """
    translation, used = fit_landmarks(joints, landmarks_px, confidence, K)
    outlined = torch.zeros_like(used[:, 0])
    if extents_px is not None:
        outlined = torch.isfinite(extents_px).all(-1).all(-1) & torch.isfinite(vertices).all(-1).all(-1)
        refined = fit_extents(vertices, extents_px, K, image_size, translation)
        translation = torch.where(outlined[:, None], blend(translation, refined), translation)

    projected = (joints.double() + translation[:, None]) @ K.double().mT
    error = (projected[..., :2] / projected[..., 2:] - landmarks_px.double()).square().sum(-1)
    count = used.sum(-1)
    residual = torch.where(used, error, 0.0).sum(-1).div(count.clamp(min=1)).sqrt()
    residual = torch.where((count > 0) & torch.isfinite(residual), residual, torch.inf)
    return translation, used, outlined, residual


def _with_compiled_loops(
    vertices: Tensor,
    joints: Tensor,
    landmarks_px: Tensor,
    confidence: Tensor,
    K: Tensor,
    image_size: int,
    extents_px: Tensor | None,
) -> Stages:
    from models.registration_cpu import register_hands  # compiled when first used

    if extents_px is None:
        extents_px = torch.full((len(joints), 2, NUM_AXES), torch.nan)
    tensors = (vertices, joints, landmarks_px, confidence, K)
    arrays = [tensor.detach().double().contiguous().numpy() for tensor in (*tensors, extents_px)]

    def register_some(first: int, last: int) -> tuple[np.ndarray, ...]:
        return register_hands(*(array[first:last] for array in arrays), float(image_size))

    found = in_shares(register_some, len(joints), HANDS_PER_THREAD)
    return tuple(torch.from_numpy(np.concatenate(values)) for values in zip(*found, strict=True))
