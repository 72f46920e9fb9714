"""Finding hands: on generated hands whose side and place are known, in pictures of any size."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from handmesh.detector import CLEAR, HandDetector
from handmesh.errors import InputError
from handmesh.images import read_image
from handmesh.palm import Roi, box_containment, box_overlap
from handmesh.runtime import DATA, OnnxModel
from utils.template import ROOT

NAMES = ("back", "palm")  # the side of a pointing fist is a matter of opinion

WHOLE = Roi(np.array([112.0, 112.0]), 256.0, 0.0)


@pytest.fixture(scope="module")
def detector():
    return HandDetector()


def picture(name):
    return read_image(ROOT / f"images/{name}_img.jpg")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_right_and_left_are_told_apart_however_they_are_turned(detector, name, turns):
    image = np.ascontiguousarray(np.rot90(picture(name), turns))
    (right,) = detector(image)
    (left,) = detector(np.ascontiguousarray(image[:, ::-1]))
    assert right.right > 0.5 > left.right
    mirrored = left.landmarks_px * [-1, 1] + [image.shape[1] - 1, 0]
    assert np.abs(mirrored - right.landmarks_px).mean() < 8


def test_small_hands_are_found_in_parts_of_the_picture(detector):
    canvas = np.full((1080, 1920, 3), 190, np.uint8)
    small = cv2.resize(picture("palm"), (160, 160), interpolation=cv2.INTER_AREA)  # the hand is 4 % of the width
    places = [(300, 200), (1500, 800)]
    for x, y in places:
        canvas[y : y + 160, x : x + 160] = small
    assert not detector(canvas, "always")
    for detect in ("auto", "small"):
        found = sorted(detector(canvas, detect), key=lambda hand: hand.box_px[0])
        assert len(found) == 2
        for hand, (x, y) in zip(found, places, strict=True):
            assert (hand.box_px >= [x, y, x, y]).all()
            assert (hand.box_px <= [x + 160, y + 160, x + 160, y + 160]).all()


def test_hands_of_a_large_picture_are_all_found_in_place(detector):
    canvas = np.full((1500, 2400, 3), 200, np.uint8)
    corners = {"right": (150, 200), "left": (1500, 700)}
    for side, (x, y) in corners.items():
        hand = cv2.resize(picture("palm"), (700, 700), interpolation=cv2.INTER_CUBIC)
        canvas[y : y + 700, x : x + 700] = hand[:, ::-1] if side == "left" else hand
    hands = detector(canvas)
    assert len(hands) == 2
    for side, (x, y) in corners.items():
        (inside,) = [
            hand for hand in hands if box_containment(hand.box_px, np.array([[x, y, x + 700, y + 700]])) > 0.95
        ]
        assert (inside.right > 0.5) == (side == "right")


def test_hands_that_are_known_are_left_out(detector):
    hand = cv2.resize(picture("palm"), (300, 300), interpolation=cv2.INTER_CUBIC)
    pair = np.concatenate([hand, hand[:, ::-1]], axis=1)
    one, other = detector(pair, "always")
    (left,) = detector.others(pair, [one.landmarks_px])
    np.testing.assert_array_equal(left.landmarks_px, other.landmarks_px)
    assert detector.others(pair, [one.landmarks_px, other.landmarks_px]) == []


def test_no_hand_is_no_hand(detector, rng):
    noise = cv2.resize(rng.integers(0, 255, (9, 12, 3)).astype(np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    assert detector(noise, "always") == []
    assert detector(np.zeros((1, 1, 3), np.uint8)) == []
    assert len(detector(noise, "never")) == 1


def test_a_small_crop_is_taken_whole_where_that_is_surer(detector):
    crop = picture("pointing")[35:-35, 35:-35]
    crop = cv2.resize(crop, (56, 56), interpolation=cv2.INTER_AREA)
    (palm,) = detector(crop, "always")  # sees one in a fingertip
    (whole,) = detector(crop, "auto")
    assert np.ptp(palm.box_px.reshape(2, 2), axis=0).max() < 10
    assert np.ptp(whole.box_px.reshape(2, 2), axis=0).max() > 40
    assert palm.presence < whole.presence


def test_two_hands_that_are_not_clear_stay_two(detector):
    hand = cv2.resize(picture("pinch"), (44, 44), interpolation=cv2.INTER_AREA)
    pair = np.concatenate([hand, hand], axis=1)
    always, auto = detector(pair, "always"), detector(pair, "auto")
    assert len(always) == len(auto) == 2
    assert max(one.presence for one in auto) < CLEAR


def test_threads_may_share_a_detector(detector):
    images = [picture(name) for name in NAMES] * 6
    expected = [detector.landmarks(image, WHOLE).landmarks_px for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: detector.landmarks(image, WHOLE).landmarks_px, images))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kept", [0, 1000, 100_000, -100_000])
def test_a_damaged_file_is_named(tmp_path, kept):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((DATA / "palm_detection.onnx").read_bytes()[:kept])
    with pytest.raises(InputError, match="cut.onnx"):
        OnnxModel(cut)


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match="missing.onnx"):
        OnnxModel("missing.onnx")


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
