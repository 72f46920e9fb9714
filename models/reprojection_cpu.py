"""The iterations of `models.reprojection` as compiled loops over one hand after the other: on a CPU the tensor
operations of a single hand cost more to call than to compute."""

import math

import numpy as np

from models.registration_cpu import add_products, bounded_minimum, compiled_loops


@compiled_loops
def gauss_newton(
    start: np.ndarray,
    joints: np.ndarray,
    landmarks_px: np.ndarray,
    weight: np.ndarray,
    K: np.ndarray,
    near_px: float,
    iterations: int,
) -> np.ndarray:
    """`models.reprojection.gauss_newton`; contiguous float64 arrays of the same shapes."""
    translation = start.copy()
    moments, row, step = np.empty((4, 4)), np.empty(4), np.empty(3)
    for b in range(len(joints)):
        for _ in range(iterations):
            moments[:] = 0.0
            for j in range(joints.shape[1]):
                point = K[b] @ (joints[b, j] + translation[b])
                x, y = point[0] / point[2], point[1] / point[2]
                off_x, off_y = x - landmarks_px[b, j, 0], y - landmarks_px[b, j, 1]
                counts = weight[b, j]
                if near_px > 0:
                    counts /= max(math.sqrt(off_x * off_x + off_y * off_y), near_px)
                for e, pixel, off in ((0, x, off_x), (1, y, off_y)):
                    for i in range(3):
                        row[i] = (K[b, e, i] - pixel * K[b, 2, i]) / point[2]
                    row[3] = off
                    add_products(moments, row, counts)
            bounded_minimum(moments, translation[b, 2], step)
            translation[b] += step
    return translation
