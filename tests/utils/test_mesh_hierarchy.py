"""Half-edges, spirals, decimation and up-sampling, on meshes small enough to draw and against the released files."""

from itertools import pairwise

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh.errors import InputError
from tests.conftest import shared_file
from utils.mesh.closest_point import upsampling_matrix
from utils.mesh.decimation import decimate
from utils.mesh.half_edge import HalfEdgeMesh
from utils.mesh.hierarchy import build_hierarchy, cached_hierarchy
from utils.mesh.spirals import extract_spirals

# A hexagonal fan: vertex 0 in the middle, 1 to 6 around it, counter-clockwise.
FAN = np.array([[0, i, i % 6 + 1] for i in range(1, 7)])
FAN_VERTICES = np.array([[0, 0, 0], *([np.cos(a), np.sin(a), 0] for a in np.arange(6) * np.pi / 3)])


def is_manifold(faces: np.ndarray) -> bool:
    edges = np.sort(trimesh.geometry.faces_to_edges(faces), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1].max() <= 2


def test_one_ring_is_circulated_clockwise_and_starts_at_the_boundary():
    mesh = HalfEdgeMesh(7, FAN)
    ring = list(mesh.neighbours(0))
    start = ring.index(1)
    assert ring[start:] + ring[:start] == [1, 6, 5, 4, 3, 2]
    assert not mesh.is_boundary(0)
    # A boundary vertex starts with the half-edge that has no face: 1 sees 6, then the middle, then 2.
    assert mesh.is_boundary(1)
    assert list(mesh.neighbours(1)) == [6, 0, 2]


def test_a_patch_between_two_others_is_relinked():
    order = [0, 2, 4, 1, 3, 5]  # every second face first: the gaps are closed afterwards
    mesh = HalfEdgeMesh(7, FAN[order])
    ring = list(mesh.neighbours(0))
    start = ring.index(1)
    assert ring[start:] + ring[:start] == [1, 6, 5, 4, 3, 2]


@pytest.mark.parametrize(
    "faces",
    [
        [[0, 1, 2], [0, 1, 3]],  # an edge used twice in one direction
        [[0, 1, 2], [1, 0, 3], [0, 1, 4]],  # three faces at an edge
        [[0, 0, 1]],
    ],
)
def test_meshes_that_are_not_manifold_are_input_errors(faces):
    with pytest.raises(InputError, match="face"):
        HalfEdgeMesh(5, faces)


def test_spiral_is_itself_then_ring_after_ring():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    spirals = extract_spirals(sphere.vertices, sphere.faces, 19)
    distance = trimesh.graph.nx.floyd_warshall_numpy(
        sphere.vertex_adjacency_graph, nodelist=range(len(sphere.vertices))
    )
    for vertex, spiral in enumerate(spirals):
        assert spiral[0] == vertex
        assert len(set(spiral)) == 19
        rings = distance[vertex, spiral]
        assert (np.diff(rings) >= 0).all()


def test_dilation_strides_the_longer_spiral():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    longer = extract_spirals(sphere.vertices, sphere.faces, 18)
    np.testing.assert_array_equal(extract_spirals(sphere.vertices, sphere.faces, 9, dilation=2), longer[:, ::2])


def test_a_component_without_enough_rings_takes_the_nearest_vertices():
    vertices = np.concatenate([FAN_VERTICES, FAN_VERTICES + np.array([5, 0, 0])])
    spirals = extract_spirals(vertices, np.concatenate([FAN, FAN + 7]), 9)
    nearest = np.argsort(np.linalg.norm(vertices - vertices[3], axis=1), kind="stable")
    assert set(spirals[3]) == set(nearest[:9])
    with pytest.raises(InputError, match="needs 15 vertices"):
        extract_spirals(vertices, FAN, 15)


@pytest.mark.shared_data
@pytest.mark.parametrize("level", range(4))
def test_released_spirals_and_upsampling(level, released_template):
    golden = np.load(shared_file("golden", "mesh_ops.npz"))
    np.testing.assert_array_equal(released_template.spirals[level], golden[f"spiral_{level}"])
    for coarse, fine in zip(golden[f"pool_in_{level}"], golden[f"pool_out_{level}"], strict=True):
        np.testing.assert_allclose(released_template.up[level] @ coarse, fine, atol=1e-6)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), kept=st.integers(20, 120))
def test_decimation_selects_vertices_and_keeps_the_surface(seed, kept):
    sphere = trimesh.creation.icosphere(subdivisions=2)
    vertices = sphere.vertices + 0.02 * np.random.default_rng(seed).standard_normal(sphere.vertices.shape)
    index, faces = decimate(vertices, sphere.faces, kept)
    assert len(index) == kept
    assert (np.diff(index) > 0).all()
    assert is_manifold(faces)
    coarse = trimesh.Trimesh(vertices[index], faces, process=False)
    assert coarse.is_watertight
    assert coarse.euler_number == 2
    HalfEdgeMesh(kept, faces)
    assert 0.55 < coarse.volume / sphere.volume < 1.15


def test_decimation_keeps_the_outline_of_an_open_mesh(template):
    for fine, coarse, fine_faces, coarse_faces in zip(
        (template.vertices, template.down[0] @ template.vertices),
        (template.down[0] @ template.vertices, template.down[1] @ (template.down[0] @ template.vertices)),
        template.faces[:2],
        template.faces[1:3],
        strict=True,
    ):
        assert is_manifold(coarse_faces)
        assert len(boundary_loop(coarse_faces)) > 3
        wrist = fine[boundary_loop(fine_faces)].mean(axis=0)
        assert np.linalg.norm(coarse[boundary_loop(coarse_faces)].mean(axis=0) - wrist) < 0.005


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    edges = np.sort(trimesh.geometry.faces_to_edges(faces), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[counts == 1])


def test_decimation_that_cannot_go_on_is_an_input_error():
    with pytest.raises(InputError, match="cannot be reduced"):
        decimate(FAN_VERTICES, FAN, 1)


def test_upsampling_finds_the_closest_point(rng):
    sphere = trimesh.creation.icosphere(subdivisions=1)
    points = rng.standard_normal((40, 3))
    matrix = upsampling_matrix(points, sphere.vertices, sphere.faces)
    assert matrix.shape == (40, 42)
    assert matrix.data.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    found = np.linalg.norm(matrix @ sphere.vertices - points, axis=1)
    # Brute force: dense samples of every triangle can come close to the closest point, but not closer.
    a, b = np.meshgrid(np.linspace(0, 1, 25), np.linspace(0, 1, 25))
    a, b = a[a + b <= 1], b[a + b <= 1]
    weights = np.stack([a, b, 1 - a - b], axis=1)
    samples = (weights @ sphere.triangles).reshape(-1, 3)
    best = np.linalg.norm(samples - points[:, None], axis=2).min(axis=1)
    assert (found <= best + 1e-12).all()
    np.testing.assert_allclose(found, best, atol=2e-3)


def test_hierarchy_of_the_open_hand(template):
    sizes = template.num_vertices
    assert all(coarse == (fine + 1) // 2 for fine, coarse in pairwise(sizes))
    vertices = template.vertices
    for down, up in zip(template.down, template.up, strict=True):
        coarse = down @ vertices
        assert set(np.unique(down.data)) == {1.0}
        # A vertex that stays is its own closest point; the others stay within a few millimetres.
        np.testing.assert_allclose(down @ (up @ coarse), coarse, atol=1e-9)
        assert np.linalg.norm(up @ coarse - vertices, axis=1).max() < 0.012
        vertices = coarse


@pytest.mark.filterwarnings("ignore:.*is not cached")
def test_a_cache_that_cannot_be_written_does_not_stop_anybody(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    sphere = trimesh.creation.icosphere(subdivisions=2)
    assert len(cached_hierarchy(sphere.vertices, sphere.faces).vertices) == 5


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_hierarchy_is_cached_and_a_damaged_cache_is_rebuilt(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sphere = trimesh.creation.icosphere(subdivisions=2)
    built = build_hierarchy(sphere.vertices, sphere.faces)
    for damage in (None, None, "cut", "flipped"):
        for file in tmp_path.rglob("*.npz"):
            content = file.read_bytes()
            if damage is not None:
                middle = len(content) // 2
                file.write_bytes(
                    content[:100] if damage == "cut" else content[:middle] + b"????" + content[middle + 4 :]
                )
        cached = cached_hierarchy(sphere.vertices, sphere.faces)
        for ours, theirs in zip(built.up + built.down, cached.up + cached.down, strict=True):
            assert (ours != theirs).nnz == 0
        for ours, theirs in zip(built.faces, cached.faces, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
