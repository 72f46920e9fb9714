"""Meshes bent to where some of their points should be, as smoothly as can be."""

import numpy as np

HOLD = 1e4  # weight of the points against smoothness


def smooth_movement(faces: np.ndarray, regressor: np.ndarray) -> np.ndarray:
    """How far the vertices move with points of a mesh: (V, P), movements of the points to movements of the vertices.

    Least squares of the Laplacian of the movement (Botsch and Sorkine, On Linear Variational Surface Deformation
    Methods, 2008, with uniform weights) and of what the points miss.

    Args:
        faces: (F, 3), every vertex in one of them at least.
        regressor: (P, V), vertices to points.
    """
    neighbours = np.zeros((regressor.shape[1], regressor.shape[1]))
    for first, second in ((0, 1), (1, 2), (2, 0)):
        neighbours[faces[:, first], faces[:, second]] = neighbours[faces[:, second], faces[:, first]] = 1
    laplacian = np.eye(len(neighbours)) - neighbours / neighbours.sum(axis=1, keepdims=True)
    matrix = laplacian.T @ laplacian + HOLD * regressor.T @ regressor
    return np.linalg.solve(matrix, HOLD * regressor.T)
