"""Meshes bent to where some of their points should be, as smoothly as can be."""

import numpy as np
import trimesh

HOLD = 1e4  # weight of the points against smoothness


def smooth_movement(mesh: trimesh.Trimesh, regressor: np.ndarray) -> np.ndarray:
    """How far the vertices move with points of a mesh: (V, P), movements of the points to movements of the vertices.

    Least squares of the Laplacian of the movement (Botsch and Sorkine, On Linear Variational Surface Deformation
    Methods, 2008, with uniform weights) and of what the points miss.

    Args:
        regressor: (P, V), vertices to points.
    """
    laplacian = np.eye(len(mesh.vertices)) - trimesh.smoothing.laplacian_calculation(mesh).toarray()
    matrix = laplacian.T @ laplacian + HOLD * regressor.T @ regressor
    return np.linalg.solve(matrix, HOLD * regressor.T)
