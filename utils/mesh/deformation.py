"""Meshes bent to where some of their points should be, as smoothly as can be."""

import numpy as np

from utils.mesh.half_edge import HalfEdgeMesh

HOLD = 1e4  # weight of the points against smoothness


def smooth_movement(faces: np.ndarray, regressor: np.ndarray) -> np.ndarray:
    """How far the vertices move with points of a mesh: (V, P), movements of the points to movements of the vertices.

    Least squares of the Laplacian of the movement (Botsch and Sorkine, On Linear Variational Surface Deformation
    Methods, 2008, with uniform weights) and of what the points miss.

    Args:
        faces: (F, 3) of a manifold, every vertex in one of them at least.
        regressor: (P, V), vertices to points.
    """
    laplacian = np.eye(regressor.shape[1])
    mesh = HalfEdgeMesh(len(laplacian), faces)
    for vertex, row in enumerate(laplacian):
        ring = list(mesh.neighbours(vertex))
        row[ring] = -1 / len(ring)
    matrix = laplacian.T @ laplacian + HOLD * regressor.T @ regressor
    return np.linalg.solve(matrix, HOLD * regressor.T)
