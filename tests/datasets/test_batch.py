"""Augmentation of whole batches against the reference, step by step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch.utils.data import default_collate

from datasets.augmentation import Augmentation, AugmentationSettings
from datasets.augmented import DEVICE, REFERENCE, SampleSettings
from datasets.batch import finish_batch, jitter_batch, warp_batch
from datasets.color import draw_jitter, jitter_color
from datasets.freihand import FreiHANDTraining

SIZE = 96


def samples_of(root, num_vertices, pixels, augmentation, epoch):
    data = FreiHANDTraining(root, num_vertices, SampleSettings(size=SIZE, pixels=pixels, augmentation=augmentation))
    return [data[(epoch, index)] for index in range(8)]


def finished(*arguments):
    return finish_batch(default_collate(samples_of(*arguments)), SIZE, 0.5, 0.5)


@pytest.mark.parametrize("flip", [False, True])
def test_samples_are_those_of_the_reference(rendered_freihand, template, flip):
    augmentation = AugmentationSettings(mirrored_share=0.5 * flip)
    for epoch in range(2):
        arguments = (rendered_freihand, template.num_vertices[0])
        expected = finished(*arguments, REFERENCE, augmentation, epoch)
        found = finished(*arguments, DEVICE, augmentation, epoch)
        assert found.keys() == expected.keys()
        torch.testing.assert_close(found["mesh"], expected["mesh"], atol=1e-6, rtol=0)
        torch.testing.assert_close(found["heatmaps"], expected["heatmaps"], atol=1e-6, rtol=0)
        # One interpolation is sharper than two: edges differ, surfaces do not. An image value spans 2.
        difference = (found["image"] - expected["image"]).abs()
        assert difference.mean() < 0.03
        assert difference.median() < 0.01
        outline = (found["silhouette"] - expected["silhouette"]).abs()
        assert outline.mean() < 0.01
        assert found["image"].is_contiguous(memory_format=torch.channels_last)


def test_without_augmentation_only_the_crop_interpolates(rendered_freihand, template):
    still = AugmentationSettings(position=0, rotation_degrees=0, color=False)
    arguments = (rendered_freihand, template.num_vertices[0])
    expected, found = finished(*arguments, REFERENCE, still, 0), finished(*arguments, DEVICE, still, 0)
    inner = np.s_[..., 2:-2, 2:-2]
    torch.testing.assert_close(found["image"][inner], expected["image"][inner], atol=0.03, rtol=0)
    torch.testing.assert_close(found["silhouette"][inner], expected["silhouette"][inner], atol=0.02, rtol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31 - 1), st.booleans(), st.integers(-180, 180), st.floats(10, 200), st.integers(20, 50))
def test_pixels_are_interpolated_between_the_right_ones(seed, mirrored, angle, half_px, side):
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 256, (4, side, side), dtype=np.uint8)
    drawn = Augmentation(mirrored, angle, rng.uniform(-5, side + 5, 2), half_px, None)
    size = 24
    places = (planes, drawn.affine(side, size), drawn.window_px(side, size))
    found = warp_batch(*(torch.from_numpy(part)[None] for part in places), size)[0].numpy()
    y, x = np.mgrid[:size, :size]
    affine = drawn.affine(side, size)
    source = np.linalg.solve(affine[:, :2], np.stack([x, y]).reshape(2, -1) - affine[:, 2:])
    left, top, right, bottom = drawn.window_px(side, size)
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    for made, channel in zip(found, planes, strict=True):
        expected = map_coordinates(channel.astype(float), source[::-1], order=1, mode="grid-constant")
        np.testing.assert_allclose(made, expected.reshape(size, size) * inside, atol=0.1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31 - 1))
def test_colours_are_those_of_the_reference(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    image[:10] //= 8  # dark
    image[10:20] = image[10:20, :, :1]  # grey
    jitter = draw_jitter(rng)
    expected = jitter_color(image, jitter).astype(int)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    numbers = torch.from_numpy(jitter.numbers())[None]
    batched = jitter_batch(torch.from_numpy(planes)[None].float(), numbers)[0].numpy()
    assert np.abs(batched.transpose(1, 2, 0) - expected).max() <= 1
