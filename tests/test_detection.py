"""Finding hands: on generated hands whose side and place are known, in pictures of any size."""

import cv2
import numpy as np
import pytest

from detection.hands import CLEAR, SAME_HAND_SHARE, HandFinder
from detection.networks import FOLDER, TFLiteNetwork
from detection.palm import Roi, box_containment, box_overlap
from utils.errors import InputError
from utils.images import read_image
from utils.template import ROOT

NAMES = ("back", "palm")  # the side of a pointing fist is a matter of opinion


@pytest.fixture(scope="module")
def finder():
    return HandFinder()


def picture(name):
    return read_image(ROOT / f"images/{name}_img.jpg")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_right_and_left_are_told_apart_however_they_are_turned(finder, name, turns):
    image = np.ascontiguousarray(np.rot90(picture(name), turns))
    (right,) = finder(image)
    (left,) = finder(np.ascontiguousarray(image[:, ::-1]))
    assert right.right > 0.5 > left.right
    mirrored = left.landmarks_px * [-1, 1] + [image.shape[1] - 1, 0]
    assert np.abs(mirrored - right.landmarks_px).mean() < 8


def test_hands_of_a_large_picture_are_all_found_in_place(finder):
    canvas = np.full((1500, 2400, 3), 200, np.uint8)
    corners = {"right": (150, 200), "left": (1500, 700)}
    for side, (x, y) in corners.items():
        hand = cv2.resize(picture("palm"), (700, 700), interpolation=cv2.INTER_CUBIC)
        canvas[y : y + 700, x : x + 700] = hand[:, ::-1] if side == "left" else hand
    hands = finder(canvas)
    assert len(hands) == 2
    for side, (x, y) in corners.items():
        (inside,) = [
            hand for hand in hands if box_containment(hand.box_px, np.array([[x, y, x + 700, y + 700]])) > 0.95
        ]
        assert (inside.right > 0.5) == (side == "right")


def test_no_hand_is_no_hand(finder, rng):
    noise = cv2.resize(rng.integers(0, 255, (9, 12, 3)).astype(np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    assert finder(noise, "always") == []
    assert finder(np.zeros((1, 1, 3), np.uint8)) == []
    assert len(finder(noise, "never")) == 1


@pytest.mark.parametrize("side", [40, 64, 100, 160])
def test_a_small_crop_is_taken_whole_where_that_is_surer(finder, side):
    for name in (*NAMES, "pointing"):
        small = cv2.resize(picture(name), (side, side), interpolation=cv2.INTER_AREA)
        palms, either = finder(small, "always"), finder(small, "auto")
        assert max((hand.presence for hand in either), default=0) >= max((hand.presence for hand in palms), default=0)
        assert len(either) >= bool(palms)
        clear = palms and palms[0].presence > CLEAR
        assert not clear or len(either) == len(palms)
        boxes = np.array([hand.box_px for hand in either]).reshape(-1, 4)
        for i, box in enumerate(boxes):
            others = np.delete(boxes, i, axis=0)
            assert not len(others) or box_containment(box, others).max() < SAME_HAND_SHARE


def test_a_damaged_file_is_named(tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((FOLDER / "palm_detection_full.tflite").read_bytes()[:100_000])
    with pytest.raises(InputError, match="cut.tflite"):
        TFLiteNetwork(str(cut), ())
    with pytest.raises(InputError, match="missing.tflite"):
        TFLiteNetwork("missing.tflite", ())


def test_a_turned_square_and_back(rng):
    roi = Roi(np.array([310.0, 120.0]), 250.0, 0.7)
    points = rng.uniform(0, 224, (30, 2))
    back = roi.to_picture(points, 224)
    affine = roi.affine(224)
    np.testing.assert_allclose(back @ affine[:, :2].T + affine[:, 2], points, atol=1e-9)
    up = roi.to_picture(np.array([[111.5, 0.0], [111.5, 223.0]]), 224)
    direction = up[0] - up[1]
    assert np.arctan2(direction[0], -direction[1]) == pytest.approx(0.7)


def test_overlap_of_boxes_against_counting_pixels(rng):
    corners = rng.integers(0, 15, (40, 4))
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + 1 + corners[:, 2:]], axis=1)
    grids = np.zeros((len(boxes), 32, 32), bool)
    for grid, (left, top, right, bottom) in zip(grids, boxes, strict=True):
        grid[top:bottom, left:right] = True
    common = (grids[0] & grids).sum(axis=(1, 2))
    np.testing.assert_allclose(box_overlap(boxes[0], boxes), common / (grids[0] | grids).sum(axis=(1, 2)))
    smaller = np.minimum(grids[0].sum(), grids.sum(axis=(1, 2)))
    np.testing.assert_allclose(box_containment(boxes[0], boxes), common / smaller)
