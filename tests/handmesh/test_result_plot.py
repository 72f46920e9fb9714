"""The pictures: what is drawn where, and that nothing a network predicts breaks them."""

import numpy as np
import pytest

from handmesh.drawing.mesh import draw_mesh, silhouette, vertex_normals
from handmesh.drawing.panels import GAP_PX, PANEL_PX, TITLE_PX, plot_result
from handmesh.drawing.primitives import draw_skeleton
from handmesh.drawing.scene import draw_stage, frame_close_up, frame_scene
from handmesh.geometry import project
from tests.rendered_freihand import SIZE, place_hand, render


@pytest.fixture(scope="module")
def hand(template):
    rng = np.random.default_rng(8)
    vertices, K = place_hand(template, rng)
    return vertices, K, render(vertices, K, template, rng)[0]


def plot(hand, template, **changes):
    vertices, K, image = hand
    joints = template.joint_regressor @ vertices
    arguments = {
        "image": image,
        "K": K,
        "vertices_m": vertices,
        "joints_m": joints,
        "faces": template.faces[0],
        "landmarks_px": project(joints, K),
        "detected": np.ones(21, bool),
        "silhouette": silhouette(vertices, template.faces[0], K, SIZE, SIZE).astype(np.float32)[::2, ::2] / 255,
    }
    return plot_result(**(arguments | changes))


def panel(sheet, number):
    left = number * (PANEL_PX + GAP_PX)
    return sheet[TITLE_PX:, left : left + PANEL_PX].astype(int)


def test_five_panels(hand, template):
    sheet = plot(hand, template)
    assert sheet.shape == (TITLE_PX + PANEL_PX, 5 * (PANEL_PX + GAP_PX) - GAP_PX, 3)
    assert all(panel(sheet, number).std() > 5 for number in range(5))


def test_the_mesh_is_drawn_where_it_projects_to(hand, template):
    vertices, K, image = hand
    canvas = np.full_like(image, 7)
    draw_mesh(canvas, vertices, template.faces[0], K, np.ones(3))
    drawn = (canvas != 7).any(axis=2)
    expected = silhouette(vertices, template.faces[0], K, SIZE, SIZE) > 0
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.97


def test_landmarks_that_are_not_sure_are_not_drawn(hand, template):
    nothing = panel(plot(hand, template, detected=np.zeros(21, bool)), 1)
    without_wrist = panel(plot(hand, template, detected=np.arange(21) > 0), 1)
    everything = panel(plot(hand, template), 1)
    counts = [(picture != nothing).any(axis=2).sum() for picture in (without_wrist, everything)]
    assert 0 < counts[0] < counts[1]


def test_both_hands_are_lit_from_outside(template):
    mirrored = template.vertices * [-1, 1, 1]
    normals, other = (vertex_normals(vertices, template.faces[0]) for vertices in (template.vertices, mirrored))
    np.testing.assert_allclose(normals * [-1, 1, 1], other, atol=1e-9)
    outward = template.vertices + 0.001 * normals
    assert np.linalg.norm(outward - outward.mean(0)) > np.linalg.norm(template.vertices - template.vertices.mean(0))


@pytest.mark.parametrize("depth", [0.3, 0.7, 2.0, 6.0])
def test_the_scene_holds_camera_and_hand(depth, template):
    points = template.vertices + np.array([0.05, -0.05, depth])
    view, close_up = frame_scene(points, 300), frame_close_up(points, 300)
    contents = np.concatenate([points, np.zeros((1, 3))])
    assert (view.project(contents) > 0).all()
    assert (view.project(contents) < 300).all()
    inside = close_up.project(points)
    assert (inside > 0).all()
    assert (inside < close_up.size).all()
    assert np.ptp(inside, axis=0).max() > 0.7 * close_up.size
    assert draw_stage(view).std() > 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e6])
def test_nonsense_is_drawn_without_an_exception(value, hand, template):
    vertices = hand[0].copy()
    vertices[3] = value
    plot(hand, template, vertices_m=vertices)
    plot(hand, template, vertices_m=hand[0] - [0, 0, 5])
    plot(hand, template, landmarks_px=np.full((21, 2), value))
    plot(hand, template, silhouette=np.zeros((112, 112), np.float32))
    draw_skeleton(np.zeros((20, 20, 3), np.uint8), np.full((21, 2), value))
