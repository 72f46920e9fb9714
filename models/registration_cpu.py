"""The registration of `models.registration` as compiled loops over one hand after the other.

On a CPU the tensor operations of a single hand cost more to call than to compute. The stages, their order and their
constants are those of `models.registration`, which explains them. (Numba keeps what it has compiled until this file
changes: a changed constant over there needs a touch here.)
"""

import math
from collections.abc import Callable

import numba
import numpy as np

from models import registration as stages

LOW_M, HIGH_M = stages.DEPTH_BOUNDS_M
AXES = stages.projection_axes().numpy()  # (12, 2)
NUM_EXTENTS = 2 * len(AXES)


def compiled_loops(function: Callable) -> Callable:
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


@compiled_loops
def bounded_minimum(moments: np.ndarray, depth: float, step: np.ndarray) -> None:
    """Fill `step` (3,); see `models.registration.bounded_minimum`."""
    a, b, c = moments[0, 0], moments[0, 1], moments[1, 1]
    determinant = a * c - b * b
    per_depth_x = (c * moments[0, 2] - b * moments[1, 2]) / determinant
    per_depth_y = (a * moments[1, 2] - b * moments[0, 2]) / determinant
    at_zero_x = (c * moments[0, 3] - b * moments[1, 3]) / determinant
    at_zero_y = (a * moments[1, 3] - b * moments[0, 3]) / determinant
    curvature = moments[2, 2] - moments[2, 0] * per_depth_x - moments[2, 1] * per_depth_y
    slope = moments[2, 3] - moments[2, 0] * at_zero_x - moments[2, 1] * at_zero_y
    reached = depth - slope / curvature
    if math.isnan(reached):
        reached = stages.FALLBACK_DEPTH_M
    forward = min(max(reached, LOW_M), HIGH_M) - depth
    x = -(at_zero_x + per_depth_x * forward)
    y = -(at_zero_y + per_depth_y * forward)
    step[0] = x if math.isfinite(x) else 0.0
    step[1] = y if math.isfinite(y) else 0.0
    step[2] = forward


@compiled_loops
def add_products(moments: np.ndarray, row: np.ndarray, weight: float = 1.0) -> None:
    for i in range(4):
        for k in range(4):
            moments[i, k] += weight * row[i] * row[k]


@compiled_loops
def _fit_landmarks(
    joints: np.ndarray,
    landmarks_px: np.ndarray,
    confidence: np.ndarray,
    K: np.ndarray,
    used: np.ndarray,
    translation: np.ndarray,
) -> None:
    """2D stage of one hand: fills `used` (J,) and `translation` (3,)."""
    count = len(joints)
    rows = np.empty((count, 2, 4))  # [design, offset]
    for j in range(count):
        used[j] = confidence[j] > stages.MIN_CONFIDENCE
        for e in range(2):
            offset = 0.0
            for i in range(3):
                rows[j, e, i] = K[e, i] - landmarks_px[j, e] * K[2, i]
                offset += rows[j, e, i] * joints[j, i]
            rows[j, e, 3] = offset
            for i in range(4):
                used[j] = used[j] and math.isfinite(rows[j, e, i])

    error = np.zeros(count)
    moments = np.empty((4, 4))
    for rejection in range(stages.MAX_REJECTIONS + 1):
        moments[:] = 0.0
        for j in range(count):
            if used[j]:
                add_products(moments, rows[j, 0])
                add_products(moments, rows[j, 1])
        bounded_minimum(moments, 0.0, translation)
        if rejection == stages.MAX_REJECTIONS:
            break
        total, number = 0.0, 0
        for j in range(count):
            if used[j]:
                signed = rows[j, 0, 3] + rows[j, 1, 3]
                for i in range(3):
                    signed += (rows[j, 0, i] + rows[j, 1, i]) * translation[i]
                error[j] = abs(signed)
                total += error[j]
                number += 1
        mean = total / max(number, 1)
        if not mean > stages.MAX_MEAN_ERROR:
            break
        variance = 0.0
        for j in range(count):
            if used[j]:
                variance += (error[j] - mean) ** 2
        limit = mean + math.sqrt(variance / number)
        kept = 0
        for j in range(count):
            if used[j] and error[j] <= limit:
                kept += 1
        if kept < stages.MIN_LANDMARKS or kept == number:
            break
        for j in range(count):
            used[j] = used[j] and error[j] <= limit


@compiled_loops
def _outermost(x: np.ndarray, y: np.ndarray, outermost: np.ndarray) -> None:
    """Vertices with the smallest and the largest projection on every axis; x, y: (V,), V a multiple of four.

    Four at a time, because hardly any vertex is a new extreme and one question to four of them costs half as much.
    """
    for axis in range(len(AXES)):
        c, s = AXES[axis]
        first, last = 0, 0
        low = high = c * x[0] + s * y[0]
        for v in range(0, len(x), 4):
            p0, p1 = c * x[v] + s * y[v], c * x[v + 1] + s * y[v + 1]
            p2, p3 = c * x[v + 2] + s * y[v + 2], c * x[v + 3] + s * y[v + 3]
            if min(min(p0, p1), min(p2, p3)) < low or max(max(p0, p1), max(p2, p3)) > high:
                for candidate in range(v, v + 4):
                    along = c * x[candidate] + s * y[candidate]
                    if along < low:
                        low, first = along, candidate
                    if along > high:
                        high, last = along, candidate
        outermost[axis], outermost[axis + len(AXES)] = first, last


@compiled_loops
def _outline_moments(
    projected: np.ndarray,
    extents_px: np.ndarray,
    K: np.ndarray,
    image_size: float,
    translation: np.ndarray,
    moments: np.ndarray,
    scratch: np.ndarray,
    outermost: np.ndarray,
) -> None:
    """Fill `moments` (4, 4); see `models.registration._Outline.moments`. projected: (3, V), scratch: (2, V)."""
    shift = K @ translation
    for v in range(projected.shape[1]):
        inverse = 1.0 / (projected[2, v] + shift[2])
        scratch[0, v] = (projected[0, v] + shift[0]) * inverse
        scratch[1, v] = (projected[1, v] + shift[1]) * inverse
    _outermost(scratch[0], scratch[1], outermost)
    moments[:] = 0.0
    row = np.empty(4)
    for e in range(NUM_EXTENTS):
        axis, v = e % len(AXES), outermost[e]
        position = AXES[axis, 0] * scratch[0, v] + AXES[axis, 1] * scratch[1, v]
        scale = 1.0 / ((projected[2, v] + shift[2]) * image_size)
        for i in range(3):
            row[i] = (AXES[axis, 0] * K[0, i] + AXES[axis, 1] * K[1, i] - position * K[2, i]) * scale
        row[3] = (position - extents_px[e // len(AXES), axis]) / image_size
        add_products(moments, row)


@compiled_loops
def _fit_extents(
    vertices: np.ndarray, extents_px: np.ndarray, K: np.ndarray, image_size: float, translation: np.ndarray
) -> None:
    """1D stage of one hand: moves `translation` (3,)."""
    projected = np.empty((3, len(vertices) + -len(vertices) % 4))  # filled up with the last vertex
    for i in range(3):
        for v in range(projected.shape[1]):
            x, y, z = vertices[min(v, len(vertices) - 1)]
            projected[i, v] = K[i, 0] * x + K[i, 1] * y + K[i, 2] * z
    scratch = np.empty_like(projected[:2])
    outermost = np.empty(NUM_EXTENTS, np.int64)
    moments, trial_moments, step = np.empty((4, 4)), np.empty((4, 4)), np.empty(3)
    damping = stages.INITIAL_DAMPING
    _outline_moments(projected, extents_px, K, image_size, translation, moments, scratch, outermost)
    for _ in range(stages.EXTENT_ITERATIONS):
        damped = moments.copy()
        for i in range(3):
            damped[i, i] += damped[i, i] * damping + stages.REGULARIZATION
        bounded_minimum(damped, translation[2], step)
        trial = translation + step
        _outline_moments(projected, extents_px, K, image_size, trial, trial_moments, scratch, outermost)
        gain = moments[3, 3] - trial_moments[3, 3]
        better = gain > 0  # false for NaN
        settled = np.abs(step).max() < stages.SETTLED_STEP_M
        if better:
            settled = settled or gain <= stages.SETTLED_GAIN * moments[3, 3]
            translation[:] = trial
            moments[:] = trial_moments
        damping = min(max(damping / stages.DAMPING_DOWN if better else damping * stages.DAMPING_UP, 1e-9), 1e9)
        if settled:
            break


@compiled_loops
def _register_hand(
    vertices: np.ndarray,
    joints: np.ndarray,
    landmarks_px: np.ndarray,
    confidence: np.ndarray,
    K: np.ndarray,
    image_size: float,
    extents_px: np.ndarray,
    translation: np.ndarray,
    used: np.ndarray,
) -> tuple[bool, float]:
    """One hand: fills `translation` (3,) and `used` (J,); returns whether it has an outline, and the residual in px."""
    _fit_landmarks(joints, landmarks_px, confidence, K, used, translation)
    outlined = np.isfinite(extents_px).all() and np.isfinite(vertices).all()
    if outlined:
        refined = translation.copy()
        _fit_extents(vertices, extents_px, K, image_size, refined)
        distance = math.sqrt(((refined - translation) ** 2).sum())
        share = (distance - stages.KEEP_2D_BELOW_M) / (stages.TAKE_1D_ABOVE_M - stages.KEEP_2D_BELOW_M)
        translation += (refined - translation) * min(max(share, 0.0), 1.0)
    total, number = 0.0, 0
    for j in range(len(joints)):
        if used[j]:
            point = K @ (joints[j] + translation)
            total += (point[0] / point[2] - landmarks_px[j, 0]) ** 2 + (point[1] / point[2] - landmarks_px[j, 1]) ** 2
            number += 1
    residual = math.sqrt(total / max(number, 1))
    return outlined, residual if number and math.isfinite(residual) else np.inf


@compiled_loops
def register_hands(
    vertices: np.ndarray,
    joints: np.ndarray,
    landmarks_px: np.ndarray,
    confidence: np.ndarray,
    K: np.ndarray,
    extents_px: np.ndarray,
    image_size: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All hands of a batch.

    Args:
        vertices, joints, landmarks_px, confidence, K, extents_px: contiguous float64 arrays, shaped as in
            `models.registration.register`; extents are NaN where there is no outline.
        image_size: pixels, float.

    Returns:
        translation (B, 3), landmarks in use (B, J) bool, whether there is an outline (B,) bool, residual (B,) px.
    """
    hands = len(joints)
    translation = np.zeros((hands, 3))
    used = np.zeros(joints.shape[:2], np.bool_)
    outlined = np.zeros(hands, np.bool_)
    residual = np.zeros(hands)
    for b in range(hands):
        outlined[b], residual[b] = _register_hand(
            vertices[b], joints[b], landmarks_px[b], confidence[b], K[b], image_size, extents_px[b],
            translation[b], used[b],
        )  # fmt: skip
    return translation, used, outlined, residual
