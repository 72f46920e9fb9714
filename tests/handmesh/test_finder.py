"""Photos to hands with the shipped network: accuracy on new images, and what has to change with a photo."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import handmesh
from datasets.synthesis.generator import EVALUATION, GeneratorSettings, HandGenerator
from handmesh import finder
from handmesh.camera import from_fov
from handmesh.errors import InputError
from handmesh.images import read_image
from handmesh.joints import hand_length
from utils.metrics import aligned_error_mm, point_errors
from utils.template import ROOT

IMAGES = 24


@pytest.fixture(scope="module")
def find_hands():
    return handmesh.load()


@pytest.fixture(scope="module")
def samples():
    generator = HandGenerator(GeneratorSettings(seed=77, hand_px=(84, 150), clear=True))
    return [generator.sample(EVALUATION, index) for index in range(IMAGES)]


@pytest.fixture(scope="module")
def palm():
    """A generated open hand with a guessed camera."""
    image = read_image(ROOT / "images/palm_img.jpg")
    return image, from_fov(*image.shape[:2])


def only(hands):
    assert len(hands) == 1
    return hands[0]


def test_hands_of_new_images(find_hands, samples):
    errors, away = [], []
    for sample in samples:
        hands = find_hands(sample.image, sample.K, hand="right")
        if hands:
            errors.append(aligned_error_mm(sample.joints_m, hands[0].joints_m))
            away.append(abs(hands[0].joints_m[0, 2] / sample.joints_m[0, 2] - 1))
    assert len(errors) > 0.8 * IMAGES
    assert np.median(errors) < 12  # a constant pose: 16
    assert np.median(away) < 0.1


def test_a_mirrored_photo_shows_the_mirrored_left_hand(find_hands, palm):
    image, K = palm
    right = only(find_hands(image, K))
    left = only(find_hands(np.ascontiguousarray(image[:, ::-1]), K))
    assert (right.side, left.side) == ("right", "left")
    assert 1000 * point_errors(right.joints_m, left.joints_m * [-1, 1, 1]).mean() < 15
    assert aligned_error_mm(right.joints_m, left.joints_m * [-1, 1, 1]) < 5


@pytest.mark.parametrize("told", [0.9, 0.3, 0.001])
def test_the_network_sees_which_side_it_is_whatever_the_detector_says(find_hands, palm, monkeypatch, told):
    image, K = palm
    (found,) = find_hands.detector(image)
    monkeypatch.setattr(find_hands, "detector", lambda _image, _detect: [replace(found, right=told)])
    assert only(find_hands(image, K)).side == "right"
    assert only(find_hands(image, K, hand="left")).side == "left"
    mirrored = replace(found, landmarks_px=[image.shape[1] - 1, 0] + found.landmarks_px * [-1, 1], right=1 - told)
    monkeypatch.setattr(find_hands, "detector", lambda _image, _detect: [mirrored])
    assert only(find_hands(np.ascontiguousarray(image[:, ::-1]), K)).side == "left"


def test_a_hand_taken_for_one_of_the_other_side_is_seen_to_be_mirrored(find_hands, samples):
    seen, mirrored = [], []
    for sample in samples:
        seen += [hand.side_probability for hand in find_hands(sample.image, sample.K, hand="right")[:1]]
        mirrored += [hand.side_probability for hand in find_hands(sample.image, sample.K, hand="left")[:1]]
    assert np.mean(np.array(seen) > 0.5) > 0.85
    assert np.mean(np.array(seen) > np.array(mirrored)) > 0.85


def test_detector_network_clearness_and_fit_all_speak_for_a_side(find_hands, palm):
    hand = only(find_hands(*palm))
    right, left = (replace(hand, side=side, found=replace(hand.found, right=0.5)) for side in ("right", "left"))
    assert finder.side_score(right) == finder.side_score(left)
    told = replace(hand.found, right=0.7)
    assert finder.side_score(replace(right, found=told)) > finder.side_score(replace(left, found=told))
    assert finder.side_score(replace(right, side_probability=0.4)) < finder.side_score(left)
    blurred = replace(right, landmark_confidence=0.9 * right.landmark_confidence)
    assert finder.side_score(blurred) < finder.side_score(left)
    assert finder.side_score(replace(right, residual_px=1.1 * right.residual_px)) < finder.side_score(left)
    sure = replace(hand.found, right=1.0)
    assert np.isfinite(finder.side_score(replace(left, found=sure, side_probability=0.0)))


def test_a_hand_half_outside_of_its_crop_is_looked_at_again(find_hands, palm, monkeypatch):
    image, K = palm
    whole = only(find_hands(image, K))
    middle = whole.landmarks_px.mean(axis=0)
    part = replace(whole.found, landmarks_px=middle + 0.4 * (whole.landmarks_px - middle) + 30)
    monkeypatch.setattr(find_hands, "detector", lambda _image, _detect: [part, whole.found])
    again, doubtful_px = find_hands(image, K), finder.DOUBTFUL_PX
    monkeypatch.setattr(finder, "DOUBTFUL_PX", np.inf)
    first = find_hands(image, K)
    assert again[0].residual_px < first[0].residual_px
    assert first[0].residual_px > doubtful_px
    off_px, still_off_px = (point_errors(whole.landmarks_px, hands[0].landmarks_px).mean() for hands in (first, again))
    assert still_off_px < 0.3 * off_px
    assert np.array_equal(again[1].joints_m, first[1].joints_m)  # it was not doubtful
    monkeypatch.setattr(finder, "DOUBTFUL_PX", 0.0)
    for side in ("auto", "right"):
        for hand in find_hands(image, K, hand=side):
            assert hand.side == "right"
            assert point_errors(whole.landmarks_px, hand.landmarks_px).mean() < 0.3 * off_px


def test_a_turned_photo_shows_the_turned_hand(find_hands, palm):
    image, K = palm
    upright = only(find_hands(image, K))
    turned = only(find_hands(np.ascontiguousarray(np.rot90(image)), K))  # counter-clockwise
    x, y, z = upright.joints_m.T
    expected = np.stack([y, -x, z], axis=1)
    assert 1000 * point_errors(expected, turned.joints_m).mean() < 25


def test_part_of_a_larger_photo_is_where_it_is(find_hands, palm):
    image, K = palm
    alone = only(find_hands(image, K))
    canvas = np.full((600, 900, 3), 190, np.uint8)
    canvas[250:474, 500:724] = image
    shifted = K.copy()
    shifted[:2, 2] += [500, 250]
    part = only(find_hands(canvas, shifted))
    assert np.abs(part.landmarks_px - [500, 250] - alone.landmarks_px).mean() < 3
    assert 1000 * point_errors(alone.joints_m, part.joints_m).mean() < 25


def test_depth_goes_with_the_focal_length_and_a_known_size_sets_the_scale(find_hands, palm):
    image, K = palm
    near = only(find_hands(image, K))
    far = only(
        find_hands(image, np.diag([4, 4, 1]) @ K - np.array([[0, 0, 3 * K[0, 2]], [0, 0, 3 * K[1, 2]], [0, 0, 0]]))
    )
    assert far.joints_m[0, 2] / near.joints_m[0, 2] == pytest.approx(4, rel=0.15)  # beyond the depths of FreiHAND
    known = only(find_hands(image, K, hand_length_m=0.15))
    assert hand_length(known.joints_m) == pytest.approx(0.15)
    assert known.joints_m[0, 2] / near.joints_m[0, 2] == pytest.approx(0.15 / hand_length(near.joints_m))


def test_several_hands_share_the_camera(find_hands, palm):
    image, _ = palm
    large = cv2.resize(image, (500, 500), interpolation=cv2.INTER_CUBIC)
    both = np.concatenate([large, large[:, ::-1]], axis=1)
    hands = sorted(find_hands(both), key=lambda hand: hand.joints_m[0, 0])
    assert [hand.side for hand in hands] == ["right", "left"]
    assert hands[0].camera.approximate
    mirrored = hands[1].joints_m * [-1, 1, 1]
    assert 1000 * point_errors(hands[0].joints_m, mirrored).mean() < 15


def test_confidence_is_a_probability_and_a_bad_camera_is_refused(find_hands, palm):
    image, _ = palm
    assert 0 < only(find_hands(image)).confidence < 1
    assert find_hands(np.full((300, 400, 3), 127, np.uint8)) == []
    with pytest.raises(InputError, match="fx"):
        find_hands(image, np.zeros((3, 3)))
