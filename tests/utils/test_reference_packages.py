"""What took the place of the original's packages, against each of them where it can be imported.

See requirements-reference.txt.
"""

import numpy as np
import pytest
import torch

from models.spiral import SparseSum
from utils.mesh.closest_point import upsampling_matrix
from utils.mesh.half_edge import HalfEdgeMesh


def test_half_edge_order_of_openmesh(template):
    openmesh = pytest.importorskip("openmesh")
    vertices = template.vertices
    for level, faces in enumerate(template.faces):
        theirs = openmesh.TriMesh(vertices, faces)
        ours = HalfEdgeMesh(len(vertices), faces)
        for vertex in theirs.vertices():
            assert [other.idx() for other in theirs.vv(vertex)] == list(ours.neighbours(vertex.idx()))
        if level < len(template.down):
            vertices = template.down[level] @ vertices


def coordinates(matrix):
    entries = matrix.tocoo()
    index = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    return index, torch.from_numpy(entries.data.astype(np.float32))


def test_upsampling_by_torch_scatter(template):
    torch_scatter = pytest.importorskip("torch_scatter")
    for matrix in template.up:
        x = torch.randn(2, matrix.shape[1], 5)
        (row, column), value = coordinates(matrix)
        summed = torch_scatter.scatter_add(
            x[:, column] * value[:, None], row[:, None].expand(2, -1, 5), dim=1, dim_size=matrix.shape[0]
        )
        torch.testing.assert_close(SparseSum(matrix)(x.transpose(0, 1)).transpose(0, 1), summed)


def test_upsampling_by_torch_sparse(template):
    torch_sparse = pytest.importorskip("torch_sparse")
    for matrix in template.up:
        x = torch.randn(matrix.shape[1], 5)
        index, value = coordinates(matrix)
        torch.testing.assert_close(SparseSum(matrix)(x), torch_sparse.spmm(index, value, *matrix.shape, x))


def test_closest_points_of_psbody(template, rng):
    psbody = pytest.importorskip("psbody.mesh")
    points = template.vertices + 0.003 * rng.standard_normal(template.vertices.shape)
    coarse = template.down[0] @ template.vertices
    tree = psbody.Mesh(v=coarse, f=template.faces[1].astype(np.uint32)).compute_aabb_tree()
    _, closest = tree.nearest(points)
    ours = upsampling_matrix(points, coarse, template.faces[1]) @ coarse
    np.testing.assert_allclose(
        np.linalg.norm(ours - points, axis=1), np.linalg.norm(closest - points, axis=1), atol=1e-9
    )
