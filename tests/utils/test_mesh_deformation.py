"""Meshes bent to points: exact where they should be, and no smoother movement does it."""

import numpy as np
import pytest
import trimesh

from utils.mesh.deformation import smooth_movement


@pytest.fixture(scope="module")
def hand(template):
    return trimesh.Trimesh(template.vertices, template.faces[0], process=False), np.asarray(template.joint_regressor)


@pytest.fixture(scope="module")
def movement(hand):
    return smooth_movement(hand[0].faces, hand[1])


def bending(mesh, moved):
    """Sum of squares of how far each vertex moves otherwise than its neighbours do on average."""
    return sum(
        np.sum((moved[vertex] - moved[list(around)].mean(axis=0)) ** 2)
        for vertex, around in enumerate(mesh.vertex_neighbors)
    )


def test_what_moves_all_points_alike_moves_the_mesh_as_a_whole(movement, hand):
    moved = movement @ np.tile([0.01, -0.02, 0.03], (len(hand[1]), 1))
    np.testing.assert_allclose(moved, np.broadcast_to([0.01, -0.02, 0.03], moved.shape), atol=1e-6)


def test_points_come_where_they_should_be(movement, hand):
    wanted = np.random.default_rng(0).normal(0, 0.005, (len(hand[1]), 3))
    np.testing.assert_allclose(hand[1] @ (movement @ wanted), wanted, atol=1e-5)


def test_no_other_movement_with_the_same_points_is_smoother(movement, hand):
    mesh, regressor = hand
    rng = np.random.default_rng(1)
    moved = movement @ rng.normal(0, 0.005, (len(regressor), 3))
    for _ in range(5):
        other = rng.normal(0, 1e-3, moved.shape)
        other -= np.linalg.pinv(regressor) @ regressor @ other  # leaves the points where they are
        slope = bending(mesh, moved + other) - bending(mesh, moved - other)
        assert abs(slope) < 1e-3 * bending(mesh, other)
