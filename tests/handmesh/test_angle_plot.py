"""The picture of joint angles over time."""

import numpy as np
import pytest

from handmesh.drawing.angles import BRIDGED_SHARE, LEFT_PX, PANEL_PX, RANGE_DEG, TOP_PX, TRACK_COLORS, plot_angles
from handmesh.skeleton import ANGLE_NAMES
from handmesh.video_results import row_type

FRAMES, HIDDEN, AWAY = 101, slice(30, 40), slice(60, 80)


@pytest.fixture
def rows():
    rows = np.zeros(FRAMES, row_type(5, 3))
    rows["frame"], rows["time_s"] = np.arange(FRAMES), np.arange(FRAMES) / 50
    rows["angles"][:, ANGLE_NAMES.index("thumb_cmc_flexion")] = np.deg2rad(45)
    rows["bridged"][HIDDEN] = True
    return np.delete(rows, AWAY)


def at(picture, frame, degrees):
    """The pixel of the thumb's panel where a line would be."""
    x = LEFT_PX + frame / (FRAMES - 1) * PANEL_PX[0]
    y = TOP_PX + (RANGE_DEG[1] - degrees) / (RANGE_DEG[1] - RANGE_DEG[0]) * PANEL_PX[1]
    return picture[round(y), round(x)].astype(float)


def test_lines_are_where_the_angles_are_and_pale_where_the_hand_is_hidden(rows):
    picture = plot_angles({"right_1": rows})
    color = np.array(TRACK_COLORS[0])
    np.testing.assert_allclose(at(picture, 20.4, 45), color, atol=2)
    np.testing.assert_allclose(at(picture, 34.6, 45), 255 - BRIDGED_SHARE * (255 - color), atol=2)
    assert (at(picture, 70.4, 45) == 255).all()  # not there
    assert (at(picture, 20.4, 75) == 255).all()


def test_each_hand_has_its_colour(rows):
    other = rows.copy()
    other["angles"] = np.deg2rad(80)
    picture = plot_angles({"right_1": rows, "left_2": other})
    np.testing.assert_allclose(at(picture, 20.4, 80), TRACK_COLORS[1], atol=2)


def test_no_hand_and_a_single_frame_are_drawn_too(rows):
    assert plot_angles({}).shape == plot_angles({"right_1": rows[:1]}).shape
