"""Adaptive 2D-1D registration: from a root-relative mesh to camera space (paper section 3.3).

The network predicts the mesh relative to the wrist. The translation that puts it in front of the camera is found
from what the network saw in the image: 21 landmarks (2D stage, linear) and the outline of the silhouette (1D stage,
non-linear). Everything is batched, takes a fixed number of steps and solves 3 x 3 systems in closed form, so that it
can be exported: `handmesh` runs it from ONNX files. The arithmetic is float64, because the normal equations of focal
lengths near 1000 px lose the millimetres in float32.

Camera frame: x right, y down, z forward, metres. `[u, v, 1] ~ K [x, y, z]`, pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handmesh.confidence import MIN_CONFIDENCE
from handmesh.outline import projection_axes

DEPTH_BOUNDS_M = (0.3, 2.0)  # wrist depth range of FreiHAND, with a margin
FALLBACK_DEPTH_M = 0.7  # reported, flagged as a failure, when nothing at all can be fitted
MIN_LANDMARKS = 13  # the outlier rejection never leaves fewer
MAX_REJECTIONS = 5
MAX_MEAN_ERROR = 2.0  # rejection goes on while the mean algebraic error, in pixel metres, is above this
KEEP_2D_BELOW_M = 0.02  # both stages agree: the 2D stage is the more precise one
TAKE_1D_ABOVE_M = 0.06  # they contradict each other: the outline is the more robust one
EXTENT_ITERATIONS = 8  # from the 2D stage six are enough to a millionth of a millimetre
INITIAL_DAMPING, DAMPING_DOWN, DAMPING_UP = 1e-4, 5.0, 8.0
DAMPING_BOUNDS = (1e-9, 1e9)
REGULARIZATION = 1e-12  # of the normal equations, in image sizes per metre, squared
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


class OutlineRegistration(nn.Module):
    """Both stages and their blend, as in the paper. Never raises for what a network may predict."""

    def forward(
        self,
        vertices: Tensor,
        joints: Tensor,
        landmarks_px: Tensor,
        confidence: Tensor,
        K: Tensor,
        image_size: Tensor,
        extents_px: Tensor,
    ) -> Registration:
        """Find the camera-space translation of a batch of hands. All arguments are float64.

        Args:
            vertices: (B, V, 3) root-relative mesh, metres.
            joints: (B, J, 3) its joints, metres.
            landmarks_px: (B, J, 2) predicted 2D landmarks.
            confidence: (B, J) heat-map maxima in [0, 1].
            K: (B, 3, 3) intrinsics of the image the landmarks are in.
            image_size: () side of that image, pixels.
            extents_px: (B, 2, 12) silhouette extents; NaN for a hand without silhouette, which skips the 1D stage.
        """
        translation, used = fit_landmarks(joints, landmarks_px, confidence, K)
        outlined = extents_px.flatten(1).sum(1).isfinite() & vertices.flatten(1).sum(1).isfinite()
        refined = fit_extents(vertices, extents_px, K, image_size, translation)
        translation = torch.where(outlined[:, None], blend(translation, refined), translation)

        projected = (joints + translation[:, None]) @ K.transpose(1, 2)
        squared = (projected[..., :2] / projected[..., 2:] - landmarks_px).square().sum(-1)
        residual = root_mean(squared, used)
        count = used.double().sum(-1)
        enough = (count >= MIN_LANDMARKS) | (outlined & (count > 0))
        return Registration(translation, residual, enough & is_plausible(translation, residual, image_size))


def root_mean(squared: Tensor, used: Tensor) -> Tensor:
    """Root (B,) of the mean of squares (B, J) over those in use (B, J); infinite where it is not a number."""
    root = torch.where(used, squared, 0.0).sum(-1).div(used.double().sum(-1)).sqrt()
    return torch.where(root.isfinite(), root, torch.inf)


def is_plausible(translation: Tensor, residual_px: Tensor, image_size: Tensor) -> Tensor:
    """Whether translations (B, 3) are inside the bounds of the depth and reproject well: (B,)."""
    low, high = DEPTH_BOUNDS_M
    inside = (translation[:, 2] > low) & (translation[:, 2] < high)
    return inside & (residual_px <= MAX_RESIDUAL_FRACTION * image_size)


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
        translation (B, 3) and the mask (B, J) of the landmarks it was fitted to.
    """
    # Row 0 and 1 of K minus the pixel times row 2: (B, J, 2, 3); error = design (X + t).
    design = K[:, None, :2] - landmarks_px[..., None] * K[:, None, 2:]
    rows = torch.cat([design, design @ joints[..., None]], dim=-1)  # (B, J, 2, 4), the last column is the offset
    used = (confidence > MIN_CONFIDENCE) & rows.flatten(2).sum(-1).isfinite()
    rows = torch.where(used[..., None, None], rows, 0.0)
    products = (rows.transpose(2, 3) @ rows).flatten(2)  # (B, J, 16), summed over the landmarks in use
    summed = rows.sum(dim=2)  # (B, J, 4): e_u + e_v = summed (t, 1)

    translation = bounded_minimum(products.sum(dim=1).unflatten(1, (4, 4)))
    for _ in range(MAX_REJECTIONS):
        error = ((summed[..., :3] @ translation[..., None]).squeeze(-1) + summed[..., 3]).abs()
        weight = used.double()
        count = weight.sum(-1).clamp(min=1)
        mean = (error * weight).sum(-1) / count
        deviation = ((error - mean[:, None]).square() * weight).sum(-1).div(count).sqrt()
        kept = used & (error <= (mean + deviation)[:, None])
        reject = (mean > MAX_MEAN_ERROR) & (kept.double().sum(-1) >= MIN_LANDMARKS)
        used = used & (kept | ~reject[:, None])
        moments = (used.double()[:, None] @ products).unflatten(2, (4, 4)).squeeze(1)
        translation = torch.where(reject[:, None], bounded_minimum(moments), translation)
    return translation, used


def bounded_minimum(moments: Tensor, depth: Tensor | float = 0.0) -> Tensor:
    """Step (B, 3) that minimises a sum of squares, with the depth it leads to inside its bounds.

    One bounded variable: with the other two eliminated, the constrained minimum is the free one or lies on the bound.

    Args:
        moments: (B, 4, 4), R^T R of the rows R = [design, offset], whose error is design t + offset.
        depth: (B,) that the step starts from.
    """
    # Cramer's rule for sideways movement, as a function of the depth (second column) and at zero depth (third).
    determinant = moments[:, 0, 0] * moments[:, 1, 1] - moments[:, 0, 1] * moments[:, 0, 1]
    x = (moments[:, 1, 1, None] * moments[:, 0, 2:] - moments[:, 0, 1, None] * moments[:, 1, 2:]) / determinant[:, None]
    y = (moments[:, 0, 0, None] * moments[:, 1, 2:] - moments[:, 0, 1, None] * moments[:, 0, 2:]) / determinant[:, None]
    lateral = torch.stack([x, y], dim=1)  # (B, 2, 2): per depth, and at zero
    coefficients = moments[:, 2, 2:] - (moments[:, None, 2, :2] @ lateral).squeeze(1)
    free = depth - coefficients[:, 1] / coefficients[:, 0]
    forward = torch.where(free.isnan(), FALLBACK_DEPTH_M, free).clamp(*DEPTH_BOUNDS_M) - depth
    sideways = -(lateral[..., 1] + lateral[..., 0] * forward[:, None])
    return torch.cat([torch.where(sideways.isfinite(), sideways, 0.0), forward[:, None]], dim=-1)


def fit_extents(vertices: Tensor, extents_px: Tensor, K: Tensor, image_size: Tensor, start: Tensor) -> Tensor:
    """1D stage: match the mesh's extents on 12 axes to those of the silhouette (paper equation 7).

    Levenberg-Marquardt on the 24 extents, started from `start`; the vertex that attains an extent may change from
    one iteration to the next. A step is taken only if it lowers the objective, so the result is never worse than
    the start.

    Args:
        vertices: (B, V, 3) root-relative, metres.
        extents_px: (B, 2, 12), smallest and largest projection of the silhouette on each axis.
        K: (B, 3, 3).
        image_size: side of the image in pixels, the unit of the objective.
        start: (B, 3) metres, depth inside the bounds.

    Returns:
        translation (B, 3).
    """
    outline = _Outline(vertices, extents_px, K, image_size)
    translation = start
    damping = torch.full_like(translation[:, :1], INITIAL_DAMPING)
    moments = outline.moments(translation)
    diagonal = torch.diag(moments.new_tensor([1.0, 1.0, 1.0, 0.0]))
    for _ in range(EXTENT_ITERATIONS):
        damped = moments + diagonal * (moments * damping[..., None] + REGULARIZATION)
        trial = translation + bounded_minimum(damped, translation[:, 2])
        trial_moments = outline.moments(trial)
        better = (trial_moments[:, 3, 3] < moments[:, 3, 3])[:, None]  # false for NaN
        translation = torch.where(better, trial, translation)
        moments = torch.where(better[..., None], trial_moments, moments)
        damping = torch.where(better, damping / DAMPING_DOWN, damping * DAMPING_UP).clamp(*DAMPING_BOUNDS)
    return translation


class _Outline:
    """Extents of a batch of projected meshes against those of their silhouettes, as a function of the translation."""

    def __init__(self, vertices: Tensor, extents_px: Tensor, K: Tensor, image_size: Tensor) -> None:
        self.K, self.image_size = K, image_size
        self.projected = vertices @ K.transpose(1, 2)  # (B, V, 3)
        # Which vertex is outermost is decided in float32; where it lies is computed in float64.
        self.rough = self.projected.transpose(1, 2).float()
        self.extents_px = extents_px.flatten(1)
        axes = torch.from_numpy(projection_axes()).to(vertices.device)
        self.rough_axes = axes.float()
        self.directions = axes.repeat(2, 1)  # (24, 2)
        self.slopes = self.directions @ K[:, :2]  # (B, 24, 3)

    def moments(self, translation: Tensor) -> Tensor:
        """R^T R (B, 4, 4) of R = [Jacobian, residual] in image sizes, for the vertices that attain the extents."""
        shift = (self.K @ translation[..., None]).transpose(1, 2)  # (B, 1, 3)
        rough = self.rough + shift.transpose(1, 2).float()
        along = self.rough_axes @ (rough[:, :2] / rough[:, 2:])  # (B, 12, V)
        outermost = torch.cat([along.argmin(dim=-1), along.argmax(dim=-1)], dim=-1)  # (B, 24)
        points = self.projected.gather(1, outermost[..., None].expand(-1, -1, 3)) + shift  # (B, 24, 3)
        depth = points[..., 2:]
        position = (points[..., :2] * self.directions).sum(-1, keepdim=True) / depth
        # d pixel / d t = (K[:2] - pixel K[2]) / depth
        jacobian = (self.slopes - position * self.K[:, 2:]) / depth
        rows = torch.cat([jacobian, position - self.extents_px[..., None]], dim=-1) / self.image_size
        return rows.transpose(1, 2) @ rows


def blend(from_landmarks: Tensor, from_extents: Tensor) -> Tensor:
    """The adaptive part: keep the 2D result where both agree, the 1D result where they do not, both (B, 3)."""
    distance = (from_landmarks - from_extents).square().sum(-1, keepdim=True).sqrt()
    weight = ((distance - KEEP_2D_BELOW_M) / (TAKE_1D_ABOVE_M - KEEP_2D_BELOW_M)).clamp(0, 1)
    return from_landmarks + weight * (from_extents - from_landmarks)
