"""Loops over a hand's bones, compiled by numba: forward kinematics, and the pose that keeps its contacts.

Constants come as arguments: numba would freeze them into the machine code that it keeps on disk, and keeps that for as
long as this file does not change. What calls each other is in this one file for the same reason.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def rotate_about(rotation: np.ndarray, axis: np.ndarray, angle: float) -> None:
    """Multiply a matrix (3, 3) from the right, in place, with the rotation by `angle` radians about a unit axis."""
    sine, rest = np.sin(angle), 1 - np.cos(angle)
    x, y, z = axis[0], axis[1], axis[2]
    for row in range(3):
        a, b, c = rotation[row, 0], rotation[row, 1], rotation[row, 2]
        # Rodrigues: v + sin (v x axis) + (1 - cos) ((v . axis) axis - v) for the row v
        along = a * x + b * y + c * z
        rotation[row, 0] = a + sine * (b * z - c * y) + rest * (along * x - a)
        rotation[row, 1] = b + sine * (c * x - a * z) + rest * (along * y - b)
        rotation[row, 2] = c + sine * (a * y - b * x) + rest * (along * z - c)


@numba.njit(cache=True)
def fill_transforms(
    angles: np.ndarray, joints: np.ndarray, axes: np.ndarray, parents: np.ndarray, transforms: np.ndarray
) -> None:
    """`bone_transforms` into an array that is there already. Called thousands of times a pose: nothing is allocated."""
    rotation = np.empty((3, 3))
    for bone in range(len(angles)):
        parent = parents[bone]
        for row in range(3):
            for column in range(3):
                rotation[row, column] = 1.0 * (row == column) if parent < 0 else transforms[parent, row, column]
        for axis in (1, 0, 2):  # abduction after flexion after twist
            if angles[bone, axis] != 0:
                rotate_about(rotation, axes[bone, axis], angles[bone, axis])
        for row in range(3):
            moved = 0.0  # the joint stays where the parent takes it
            for column in range(3):
                above = 1.0 * (row == column) if parent < 0 else transforms[parent, row, column]
                moved += (above - rotation[row, column]) * joints[bone, column]
                transforms[bone, row, column] = rotation[row, column]
            transforms[bone, row, 3] = moved if parent < 0 else moved + transforms[parent, row, 3]


@numba.njit(cache=True)
def _dot(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    return ax * bx + ay * by + az * bz


@numba.njit(cache=True)
def segment_distance(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
    """Distance between the segments ab and cd (Ericson, Real-Time Collision Detection, 5.1.9)."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = d[0] - c[0], d[1] - c[1], d[2] - c[2]
    wx, wy, wz = a[0] - c[0], a[1] - c[1], a[2] - c[2]
    uu, vv = _dot(ux, uy, uz, ux, uy, uz), _dot(vx, vy, vz, vx, vy, vz)
    uv = _dot(ux, uy, uz, vx, vy, vz)
    uw, vw = _dot(ux, uy, uz, wx, wy, wz), _dot(vx, vy, vz, wx, wy, wz)
    tiny = 1e-12
    if uu < tiny:
        s = 0.0
        t = min(max(vw / vv, 0.0), 1.0) if vv > tiny else 0.0
    elif vv < tiny:
        t = 0.0
        s = min(max(-uw / uu, 0.0), 1.0)
    else:
        determinant = uu * vv - uv * uv
        s = min(max((uv * vw - uw * vv) / determinant, 0.0), 1.0) if determinant > tiny else 0.0
        t = (uv * s + vw) / vv
        if t < 0:
            t, s = 0.0, min(max(-uw / uu, 0.0), 1.0)
        elif t > 1:
            t, s = 1.0, min(max((uv - uw) / uu, 0.0), 1.0)
    x, y, z = wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz
    return np.sqrt(_dot(x, y, z, x, y, z))


@numba.njit(cache=True)
def _transform(matrix: np.ndarray, point: np.ndarray, out: np.ndarray) -> None:
    for row in range(3):
        out[row] = matrix[row, 3]
        for column in range(3):
            out[row] += matrix[row, column] * point[column]


@numba.njit(cache=True)
def _residuals(angles: np.ndarray, scene: tuple, work: tuple, out: np.ndarray) -> None:
    """Metres: touching points apart (3 each), then penetration of each pair, then of each finger bone and object."""
    (joints, axes, parents, starts, ends, radii, capsule_bones, pairs, touch_bones, touch_points, touch_gaps, objects,
     object_radii, tolerances) = scene  # fmt: skip
    transforms, moved_starts, moved_ends, point = work
    fill_transforms(angles, joints, axes, parents, transforms)
    for capsule in range(len(capsule_bones)):
        matrix = transforms[capsule_bones[capsule]]
        _transform(matrix, starts[capsule], moved_starts[capsule])
        _transform(matrix, ends[capsule], moved_ends[capsule])
    row = 0
    for touch in range(len(touch_bones)):
        _transform(transforms[touch_bones[touch, 0]], touch_points[touch, 0], point)
        out[row : row + 3] = point
        _transform(transforms[touch_bones[touch, 1]], touch_points[touch, 1], point)
        out[row : row + 3] -= point
        apart = np.sqrt((out[row : row + 3] ** 2).sum()) + 1e-9
        out[row : row + 3] *= 1 - touch_gaps[touch] / apart
        row += 3
    for pair in range(len(pairs)):
        i, j = pairs[pair]
        gap = segment_distance(moved_starts[i], moved_ends[i], moved_starts[j], moved_ends[j])
        out[row] = max(radii[i] + radii[j] - tolerances[0] - gap, 0.0)
        row += 1
    for held in range(len(objects)):
        for capsule in range(1, 15):  # not the ball of the thumb, which is soft
            gap = segment_distance(moved_starts[capsule], moved_ends[capsule], objects[held, 0], objects[held, 1])
            out[row] = max(radii[capsule] + object_radii[held] - tolerances[1] - gap, 0.0)
            row += 1


@numba.njit(cache=True)
def settle(
    wanted: np.ndarray, free: np.ndarray, limits: np.ndarray, solver: tuple, scene: tuple
) -> tuple[np.ndarray, float, float]:
    """`Settler.settle`, of angles (B, 3) within the limits (B, 3, 2).

    Args:
        free: (D, 2) bone and axis of the angles that may change.
        solver: largest number of iterations; the step, in radians, by which derivatives are taken; the weight of the
            wanted angles, metres per radian; and the largest change of an angle in an iteration, radians.
        scene: see `_residuals`.
    """
    iterations, step_radians, prior_weight, largest_step = solver
    angles = wanted.copy()
    touches, capsules, count = 3 * len(scene[8]), len(scene[6]), len(free)
    work = (np.empty((len(angles), 3, 4)), np.empty((capsules, 3)), np.empty((capsules, 3)), np.empty(3))
    size = touches + len(scene[7]) + 14 * len(scene[11])
    residuals, moved, jacobian = np.empty(size), np.empty(size), np.empty((size, count))
    _residuals(angles, scene, work, residuals)
    for _ in range(iterations):
        if (residuals[:touches] ** 2).sum() < 1e-6 and residuals[touches:].sum() < 5e-4:
            break
        for column in range(count):
            bone, axis = free[column]
            kept = angles[bone, axis]
            angles[bone, axis] = kept + step_radians
            _residuals(angles, scene, work, moved)
            jacobian[:, column] = (moved - residuals) / step_radians
            angles[bone, axis] = kept
        active = np.flatnonzero(residuals)
        reduced = jacobian[active]
        matrix = reduced.T @ reduced + prior_weight**2 * np.eye(count)
        gradient = reduced.T @ residuals[active]
        for column in range(count):
            bone, axis = free[column]
            gradient[column] += prior_weight**2 * (angles[bone, axis] - wanted[bone, axis])
            low, high = limits[bone, axis]
            pushed_low = angles[bone, axis] <= low and gradient[column] > 0
            if pushed_low or (angles[bone, axis] >= high and gradient[column] < 0):  # held by its limit
                matrix[column, :] = 0
                matrix[:, column] = 0
                matrix[column, column] = 1
                gradient[column] = 0
        step = np.linalg.solve(matrix, gradient)
        step *= min(1.0, largest_step / (np.abs(step).max() + 1e-12))
        for column in range(count):
            bone, axis = free[column]
            angles[bone, axis] = min(
                max(angles[bone, axis] - step[column], limits[bone, axis, 0]), limits[bone, axis, 1]
            )
        _residuals(angles, scene, work, residuals)
    widest = 0.0
    for touch in range(0, touches, 3):
        widest = max(widest, np.sqrt((residuals[touch : touch + 3] ** 2).sum()))
    return angles, residuals[touches:].max(), widest
