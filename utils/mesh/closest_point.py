"""Closest points on a triangle mesh, as the up-sampling matrix between two levels."""

import numpy as np
import trimesh
from scipy import sparse

PAIRS_PER_CHUNK = 1_000_000  # bounds the memory of the brute-force search


def upsampling_matrix(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> sparse.csr_matrix:
    """Barycentric coordinates of each point's closest point on a mesh.

    Args:
        points: (P, 3), the vertices of the finer level.
        vertices: (V, 3) and faces (F, 3) of the coarser level.

    Returns:
        (P, V) matrix, at most three entries per row, in [0, 1], summing to one.
    """
    triangles = vertices[faces]
    edges = np.stack([triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]], axis=1)
    solid = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 0
    triangles, faces = triangles[solid], faces[solid]

    weights = np.empty((len(points), 3))
    face = np.empty(len(points), np.int64)
    chunk = max(1, PAIRS_PER_CHUNK // len(triangles))
    for begin in range(0, len(points), chunk):
        part = points[begin : begin + chunk]
        pair_triangles = np.tile(triangles, (len(part), 1, 1))
        pair_points = np.repeat(part, len(triangles), axis=0)
        closest = trimesh.triangles.closest_point(pair_triangles, pair_points)
        distance = np.linalg.norm(closest - pair_points, axis=1).reshape(len(part), -1)
        best = distance.argmin(axis=1)
        face[begin : begin + chunk] = best
        closest = closest.reshape(len(part), -1, 3)[np.arange(len(part)), best]
        weights[begin : begin + chunk] = trimesh.triangles.points_to_barycentric(triangles[best], closest)
    weights = weights.clip(0, 1)
    weights /= weights.sum(axis=1, keepdims=True)

    rows = np.repeat(np.arange(len(points)), 3)
    matrix = sparse.csr_matrix((weights.ravel(), (rows, faces[face].ravel())), shape=(len(points), len(vertices)))
    matrix.eliminate_zeros()
    return matrix
