"""The camera of a hand: what it sees is where the geometry says, for hands anywhere in a picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh.camera import from_fov
from handmesh.geometry import project
from handmesh.view import view_of

SIZE, MARGIN = 224, 1.6
HEIGHT, WIDTH = 600, 900


def hand(rng, x, y, depth):
    """21 points of about 15 cm around a place in front of the camera."""
    return np.array([x, y, 1.0]) * depth + rng.uniform(-0.08, 0.08, (21, 3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-0.7, 0.7), st.floats(-0.5, 0.5), st.floats(0.3, 3), st.booleans())
def test_points_project_alike_in_picture_and_crop(seed, x, y, depth, mirrored):
    K, points = from_fov(HEIGHT, WIDTH), hand(np.random.default_rng(seed), x, y, depth)
    landmarks = project(points, K)
    view = view_of(landmarks, K, SIZE, MARGIN, mirrored)
    in_view = points @ view.rotation.T
    pixels = project(in_view, view.K)
    if mirrored:
        pixels[:, 0] = SIZE - 1 - pixels[:, 0]
        in_view = in_view * [-1, 1, 1]
    np.testing.assert_allclose(view.to_picture_frame(in_view), points, atol=1e-9)
    np.testing.assert_allclose(view.to_picture(pixels, K), landmarks, atol=1e-6)
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.rotation) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-0.6, 0.6), st.floats(-0.4, 0.4))
def test_hands_are_upright_in_the_middle_and_of_one_size(seed, x, y):
    K = from_fov(HEIGHT, WIDTH)
    landmarks = project(hand(np.random.default_rng(seed), x, y, 0.7), K)
    view = view_of(landmarks, K, SIZE, MARGIN, False)
    rays = np.column_stack([landmarks, np.ones(21)]) @ np.linalg.inv(K).T
    seen = project(rays @ view.rotation.T, view.K)
    low, high = seen.min(axis=0), seen.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, (SIZE - 1) / 2, atol=1.5)
    assert (high - low).max() == pytest.approx(SIZE / MARGIN, rel=0.02)
    step = seen[9] - seen[0]
    assert abs(np.degrees(np.arctan2(step[0], -step[1]))) < 1


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("factor", [1, 6])
def test_pixels_are_cut_where_the_geometry_says(rng, mirrored, factor):
    height, width = 300 * factor, 400 * factor
    K = from_fov(height, width)
    landmarks = (np.array([250, 120]) + rng.uniform(-60, 60, (21, 2))) * factor
    view = view_of(landmarks, K, SIZE, MARGIN, mirrored)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    ramps = np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 255)], axis=-1).round().astype(np.uint8)
    crop = view.cut(ramps, K).astype(np.float64)
    pixels = np.stack(np.meshgrid(np.arange(20, 200, 15), np.arange(20, 200, 15)), axis=-1).reshape(-1, 2)
    place = view.to_picture(pixels, K)
    expected = place * [255 / width, 255 / height]
    inside = ((place > 2 * factor) & (place < np.array([width, height]) - 3 * factor)).all(axis=1)
    assert inside.sum() > 50
    found = crop[pixels[:, 1], pixels[:, 0]]
    assert np.abs(found[inside, :2] - expected[inside]).max() < 1.5
    outside = ((place < -2) | (place > [width + 2, height + 2])).any(axis=1)
    assert (found[outside] == 0).all()
