"""The 2D-1D registration of one hand with a general optimiser, SLSQP with numerical gradients."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from handmesh.geometry import project
from models import registration as stages

AXES = stages.projection_axes().numpy()
BOUNDS = [(None, None), (None, None), stages.DEPTH_BOUNDS_M]


def landmark_errors(translation: np.ndarray, joints: np.ndarray, landmarks_px: np.ndarray, K: np.ndarray) -> np.ndarray:
    """K (X + t) - (Z + t_z) [u, v, 1], (J, 2), in pixel metres."""
    points = joints + translation
    return (points @ K.T)[:, :2] - points[:, 2:] * landmarks_px


def extent_objective(
    translation: np.ndarray, vertices: np.ndarray, extents_px: np.ndarray, K: np.ndarray, image_size: int
) -> float:
    """Mean squared difference of the 24 extents, in image sizes."""
    along = project(vertices + translation, K) @ AXES.T
    difference = np.stack([along.min(axis=0), along.max(axis=0)]) - extents_px
    return float((difference**2).mean()) / image_size**2


def register_with_slsqp(
    vertices: np.ndarray,
    joints: np.ndarray,
    landmarks_px: np.ndarray,
    confidence: np.ndarray,
    K: np.ndarray,
    image_size: int,
    contour_px: np.ndarray | None,
) -> np.ndarray:
    """Translation (3,), metres, of one hand; arguments as in `models.registration.register`, without the batch.

    contour_px: (N, 2), or None where there is no silhouette.
    """
    used = confidence > stages.MIN_CONFIDENCE
    translation = _fit_landmarks(np.array([0.0, 0.0, stages.FALLBACK_DEPTH_M]), used, joints, landmarks_px, K)
    for _ in range(stages.MAX_REJECTIONS):
        error = np.abs(landmark_errors(translation, joints, landmarks_px, K).sum(axis=1))
        kept = used & (error <= error[used].mean() + error[used].std())
        if error[used].mean() <= stages.MAX_MEAN_ERROR or kept.sum() < stages.MIN_LANDMARKS:
            break
        used = kept
        translation = _fit_landmarks(translation, used, joints, landmarks_px, K)
    if contour_px is None:
        return translation
    along = contour_px @ AXES.T
    extents = np.stack([along.min(axis=0), along.max(axis=0)])
    refined = fit_extents_with_slsqp(translation, vertices, extents, K, image_size)
    distance = np.linalg.norm(refined - translation)
    share = (distance - stages.KEEP_2D_BELOW_M) / (stages.TAKE_1D_ABOVE_M - stages.KEEP_2D_BELOW_M)
    return translation + np.clip(share, 0, 1) * (refined - translation)


def fit_extents_with_slsqp(
    start: np.ndarray, vertices: np.ndarray, extents_px: np.ndarray, K: np.ndarray, image_size: int
) -> np.ndarray:
    """1D stage of one hand, from the translation (3,) of the 2D stage."""
    return _minimum(lambda t: extent_objective(t, vertices, extents_px, K, image_size), start)


def _fit_landmarks(
    start: np.ndarray, used: np.ndarray, joints: np.ndarray, landmarks_px: np.ndarray, K: np.ndarray
) -> np.ndarray:
    def objective(translation: np.ndarray) -> float:
        return float((landmark_errors(translation, joints, landmarks_px, K)[used] ** 2).mean())

    return _minimum(objective, start)


def _minimum(objective: Callable[[np.ndarray], float], start: np.ndarray) -> np.ndarray:
    return minimize(objective, start, method="SLSQP", bounds=BOUNDS).x
