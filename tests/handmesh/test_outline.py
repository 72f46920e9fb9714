"""What the 1D stage reads off a silhouette."""

import numpy as np
import pytest

from handmesh.outline import contour_extents, projection_axes, silhouette_extents

SIDE = 56


def test_axes_are_unit_vectors_every_15_degrees():
    axes = projection_axes()
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), np.ones(12))
    np.testing.assert_allclose(np.degrees(np.arctan2(axes[:, 1], axes[:, 0])), np.arange(12) * 15)


def test_extents_of_a_square():
    extents = contour_extents(np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]]))
    assert extents[:, 0] == pytest.approx([0, 2])
    assert extents[1, 3] == pytest.approx(2 * np.sqrt(2))  # 45 degrees
    assert extents[0, 9] == pytest.approx(-np.sqrt(2))  # 135 degrees


def test_the_largest_part_counts_in_pixels_of_the_image():
    silhouette = np.zeros((1, SIDE, SIDE), np.float32)
    silhouette[0, 10:30, 20:30] = 1
    silhouette[0, 50:53, 2:5] = 1  # a speck
    low, high = silhouette_extents(silhouette, 2 * SIDE)[0][:, 0]
    assert (low, high) == pytest.approx((40, 59), abs=1)


def test_nothing_has_no_extents():
    assert np.isnan(silhouette_extents(np.zeros((2, SIDE, SIDE), np.float32), SIDE)).all()
