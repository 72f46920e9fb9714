"""The two fast ways to augment against the reference, and compiled colours against OpenCV's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch.utils.data import default_collate

from datasets.augmentation import Augmentation, AugmentationSettings, HandSample
from datasets.augmented import DEVICE, HOST, REFERENCE, SampleSettings, half_size
from datasets.color import draw_jitter, jitter_color
from datasets.device import finish_batch, jitter_batch
from datasets.freihand import FreiHANDTraining
from datasets.heatmaps import landmark_heatmaps
from datasets.host import finish_on_host
from datasets.pixels import augmented_pixels, colored_and_parted

SIZE = 96


def samples_of(root, num_vertices, pixels, augmentation, epoch):
    data = FreiHANDTraining(root, num_vertices, SampleSettings(size=SIZE, pixels=pixels, augmentation=augmentation))
    return [data[(epoch, index)] for index in range(8)]


def finished(*arguments):
    return finish_batch(default_collate(samples_of(*arguments)), SIZE, 0.5, 0.5)


@pytest.mark.parametrize("pixels", [HOST, DEVICE])
@pytest.mark.parametrize("flip", [False, True])
def test_samples_are_those_of_the_reference(rendered_freihand, template, pixels, flip):
    augmentation = AugmentationSettings(mirrored_share=0.5 * flip)
    for epoch in range(4):
        arguments = (rendered_freihand, template.num_vertices[0])
        expected = finished(*arguments, REFERENCE, augmentation, epoch)
        found = finished(*arguments, pixels, augmentation, epoch)
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


@pytest.mark.parametrize("pixels", [HOST, DEVICE])
def test_without_augmentation_only_the_crop_interpolates(rendered_freihand, template, pixels):
    still = AugmentationSettings(position=0, rotation_degrees=0, color=False)
    arguments = (rendered_freihand, template.num_vertices[0])
    expected, found = finished(*arguments, REFERENCE, still, 0), finished(*arguments, pixels, still, 0)
    inner = np.s_[..., 2:-2, 2:-2]
    torch.testing.assert_close(found["image"][inner], expected["image"][inner], atol=0.03, rtol=0)
    torch.testing.assert_close(found["silhouette"][inner], expected["silhouette"][inner], atol=0.02, rtol=0)


def test_data_threads_finish_a_batch_as_the_device_does(rendered_freihand, template):
    samples = samples_of(rendered_freihand, template.num_vertices[0], HOST, AugmentationSettings(), 0)
    expected = finish_batch(default_collate(samples), SIZE, 0.5, 0.5)
    found = finish_on_host(samples, SIZE, 0.5, 0.5)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)
    assert found["image"].is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="shape"):
        finish_on_host(samples, SIZE - 2, 0.5, 0.5)
    already = [{"image": np.full((3, 2, 2), number, np.float32)} for number in range(3)]
    torch.testing.assert_close(finish_on_host(already, SIZE, 0.5, 0.5), default_collate(already))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31 - 1), st.integers(4, 40))
def test_heat_maps_are_those_of_the_reference(seed, half):
    rng = np.random.default_rng(seed)
    landmarks = torch.from_numpy(rng.uniform(-12, 2 * half + 12, (2, 21, 2)).astype(np.float32))
    landmarks[0, 0] = torch.tensor([0.5, 2.5])  # rounded to even
    expected = np.stack([landmark_heatmaps(hand.numpy(), 2 * half, 2) for hand in landmarks])
    landmarks[1, 0], landmarks[1, 1, 0], landmarks[1, 2, 1] = torch.nan, torch.inf, -torch.inf
    expected[1, :3] = 0
    black = {
        "pixels": np.zeros((2 * half, 2 * half, 3), np.uint8),
        "mask": np.zeros((half, half), np.uint8),
        "mesh": np.zeros((5, 3), np.float32),
        "mirrored": False,
    }
    samples = [black | {"landmarks_px": hand.numpy()} for hand in landmarks]
    for found in (
        finish_batch(default_collate(samples), 2 * half, 0.5, 0.5),
        finish_on_host(samples, 2 * half, 0.5, 0.5),
    ):
        np.testing.assert_allclose(found["heatmaps"].numpy(), expected, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31 - 1), st.booleans(), st.integers(-180, 180), st.floats(10, 200), st.integers(20, 50))
def test_pixels_are_interpolated_between_the_right_ones(seed, mirrored, angle, half_px, side):
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(0, 256, (side, side, 3), dtype=np.uint8), rng.integers(0, 256, (side, side), np.uint8)
    image.flags.writeable = False  # as a memory map is
    sample = HandSample(image, mask, np.zeros((21, 2)), np.zeros((1, 3)), np.eye(3))
    drawn = Augmentation(mirrored, angle, rng.uniform(-5, side + 5, 2), half_px, None)
    size = 24
    found, found_mask = augmented_pixels(sample, drawn, size)
    y, x = np.mgrid[:size, :size]
    affine = drawn.affine(side, size)
    source = np.linalg.solve(affine[:, :2], np.stack([x, y]).reshape(2, -1) - affine[:, 2:])
    left, top, right, bottom = drawn.window_px(side, size)
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    *colors, cover = (
        map_coordinates(channel.astype(float), source[::-1], order=1, mode="grid-constant").reshape(size, size) * inside
        for channel in (*image.transpose(2, 0, 1), mask)
    )
    cover = cover.reshape(size // 2, 2, size // 2, 2).mean(axis=(1, 3))
    for made, wanted in ((found, np.stack(colors, axis=-1)), (found_mask, cover)):
        difference = np.abs(made - wanted)
        assert difference.max() < 18  # 1/32 of a pixel between black and white, twice
        assert difference.mean() < 3


@settings(deadline=None, max_examples=60)
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
    joined = np.dstack([image, rng.integers(0, 256, image.shape[:2], dtype=np.uint8)])
    found, mask = colored_and_parted(joined, np.array([0, 0, 49, 49]), jitter)
    assert np.abs(found - expected).max() <= 1
    assert (mask == half_size(joined[..., 3])).all()
    assert np.abs(batched.transpose(1, 2, 0) - expected).max() <= 1
