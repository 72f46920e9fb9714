"""Extents of silhouettes as tensor operations against OpenCV's contours."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.outline import extents_of_tensors, silhouette_extents

SIDE, SIZE = 56, 112


def assert_same_extents(silhouettes: np.ndarray) -> None:
    probabilities = torch.from_numpy(silhouettes.astype(np.float32))
    expected = silhouette_extents(probabilities, SIZE)
    torch.testing.assert_close(extents_of_tensors(probabilities, SIZE), expected, atol=1e-9, rtol=0, equal_nan=True)


def canvas() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.uint8)


@settings(deadline=None, max_examples=40)
@example(seed=37401850, fingers=6)  # a thin finger, diagonal
@given(seed=st.integers(0, 2**31 - 1), fingers=st.integers(1, 6))
def test_random_hands(seed, fingers):
    rng = np.random.default_rng(seed)
    silhouettes = []
    for _ in range(2):
        picture = canvas()
        palm = rng.integers(15, 40, 2).tolist()
        cv2.circle(picture, palm, int(rng.integers(5, 12)), 1, -1)
        for _ in range(fingers):
            cv2.line(picture, palm, rng.integers(-5, 60, 2).tolist(), 1, int(rng.integers(2, 6)))
        cv2.circle(picture, rng.integers(0, 56, 2).tolist(), 2, 1, -1)  # a speck, perhaps on its own
        silhouettes.append(cv2.GaussianBlur(picture.astype(np.float32), (3, 3), 0))
    assert_same_extents(np.stack(silhouettes))


def test_a_ring_counts_as_filled_and_hides_what_is_in_it():
    ring = canvas()
    cv2.circle(ring, (28, 28), 24, 1, 2)
    cv2.circle(ring, (28, 28), 8, 1, -1)
    lonely = canvas()
    cv2.circle(lonely, (9, 40), 7, 1, -1)
    assert_same_extents(np.stack([ring, lonely]))


def test_parts_that_touch_at_a_corner_are_one():
    picture = np.zeros((SIDE, SIDE))
    picture[10:20, 10:20] = picture[20:26, 20:26] = 1
    probabilities = torch.from_numpy(picture.repeat(2, 0).repeat(2, 1))[None].float()
    torch.testing.assert_close(extents_of_tensors(probabilities, SIZE), silhouette_extents(probabilities, SIZE))


def test_nothing_and_everything():
    empty = silhouette_extents(torch.zeros(1, SIDE, SIDE), SIZE)
    assert empty.isnan().all()
    assert_same_extents(np.stack([canvas(), canvas() + 1]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    picture = torch.zeros(1, SIDE, SIDE)
    picture[0, 20:30, 10:40] = 1
    expected = silhouette_extents(picture, SIZE)
    torch.testing.assert_close(silhouette_extents(picture.cuda(), SIZE).cpu(), expected)
