"""Crops, rotations, heat maps and arg-max against the reference, and augmentation against projection."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.augmentation import (
    AugmentationSettings,
    HandSample,
    augment,
    draw_augmentation,
    mirror,
    rotate,
    silhouette_crop,
)
from datasets.color import draw_jitter, jitter_color
from datasets.heatmaps import landmark_heatmaps
from handmesh.geometry import (
    EVALUATION_HALF_PX,
    crop_image,
    crop_intrinsics,
    crop_points,
    project,
    rotation_affine,
    to_network_input,
    transform_points,
)
from handmesh.outline import largest_contour, predicted_contour
from handmesh.predictor import heatmap_peaks
from tests.conftest import shared_file
from tests.rendered_freihand import place_hand, render


@pytest.fixture(scope="module")
def golden():
    return np.load(shared_file("golden", "image_ops.npz"))


@pytest.mark.shared_data
def test_crops_of_the_reference(golden):
    for (left, top, right, bottom), expected in zip(golden["boxes"], golden["crops"], strict=True):
        crop = crop_image(golden["img"], np.array([left + right, top + bottom]) / 2, (right - left) / 2, 224)
        assert bottom - top == right - left
        assert np.abs(crop.astype(int) - expected).max() <= 1


@pytest.mark.shared_data
def test_rotations_of_the_reference(golden):
    for angle, expected in zip(golden["angles"], golden["rotated"], strict=True):
        rotated = cv2.warpAffine(golden["img"], rotation_affine(224, angle), (224, 224))
        np.testing.assert_array_equal(rotated, expected)


@pytest.mark.parametrize("angle", [-179, -90, -7.5, 0, 1, 45, 180])
def test_a_rotation_is_opencvs(angle):
    np.testing.assert_allclose(rotation_affine(224, angle), cv2.getRotationMatrix2D((112, 112), angle, 1), atol=1e-9)


def halved(maps):
    return maps.reshape(*maps.shape[:-2], maps.shape[-2] // 2, 2, maps.shape[-1] // 2, 2).mean(axis=(-3, -1))


@pytest.mark.shared_data
def test_heatmaps_of_the_reference(golden):
    heatmaps = landmark_heatmaps(torch.from_numpy(golden["uv"])[None], 224)[0].numpy()
    np.testing.assert_allclose(heatmaps[:8], halved(golden["heatmaps"]), atol=1e-6)
    np.testing.assert_allclose(4 * heatmaps.sum(axis=(1, 2)), golden["heatmap_sums"], rtol=1e-5)


@pytest.mark.shared_data
def test_peaks_of_the_reference(golden):
    position, confidence = heatmap_peaks(golden["map"], 224)
    np.testing.assert_allclose(position, golden["map_uv"], rtol=1e-6)
    np.testing.assert_array_equal(confidence[..., None], golden["map_conf"].astype(np.float32))


@pytest.mark.shared_data
def test_input_of_the_reference(golden):
    image = to_network_input(golden["img"], 0.5, 0.5)
    np.testing.assert_allclose(image[:, ::8, ::8], golden["base_transform"], atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.integers(4, 40))
def test_heatmaps_are_gaussian_patches_at_half_size(seed, half):
    landmarks = np.random.default_rng(seed).uniform(-12, 2 * half + 12, (1, 24, 2)).astype(np.float32)
    landmarks[0, 0] = 0.5, 2.5  # rounded to even
    landmarks[0, 1:4] = [[np.nan], [-np.inf], [np.inf]]
    y, x = np.mgrid[: 2 * half, : 2 * half]
    expected = np.zeros((24, 2 * half, 2 * half))
    for number, (left, top) in enumerate(np.rint(landmarks[0])):
        if left >= 0 and top >= 0:
            inside = np.maximum(abs(x - left), abs(y - top)) <= 6
            expected[number][inside] = np.exp(-((x - left) ** 2 + (y - top) ** 2)[inside] / (2 * 3.5**2))
    found = landmark_heatmaps(torch.from_numpy(landmarks), 2 * half)[0]
    np.testing.assert_allclose(found, halved(expected), atol=1e-6)


def test_a_landmark_survives_the_heatmap():
    landmarks = torch.tensor([[10.0, 20], [101, 57], [200, 223]])
    position, confidence = heatmap_peaks(landmark_heatmaps(landmarks[None], 224).numpy(), 224)
    assert np.abs(position[0] - landmarks.numpy()).max() <= 1
    assert (confidence > 0.9).all()


def test_evaluation_crop_has_the_published_intrinsics():
    """c = 112 px of a FreiHAND camera becomes 112.3615... in the crop of 130 px."""
    K = crop_intrinsics(
        np.array([[400.0, 0, 112], [0, 400, 112], [0, 0, 1]]), np.array([112, 112]), EVALUATION_HALF_PX, 224
    )
    np.testing.assert_allclose(K[:2, 2], 112.36153846)
    np.testing.assert_allclose(K[0, 0], 400 * 112 / 65)


@pytest.fixture(scope="module")
def sample(template):
    rng = np.random.default_rng(5)
    vertices, K = place_hand(template, rng)
    image, mask = render(vertices, K, template, rng)
    joints = template.joint_regressor @ vertices
    return HandSample(image, mask, project(joints, K), vertices - joints[0], K), joints[0]


def assert_consistent(result: HandSample, joints: np.ndarray, regressor: np.ndarray, atol_px: float) -> None:
    """The transformed mesh at the transformed wrist projects onto the transformed landmarks."""
    relative = regressor @ result.vertices_m
    depth = joints[2]
    wrist = np.linalg.solve(result.K, [*result.landmarks_px[0], 1.0]) * depth
    np.testing.assert_allclose(project(relative - relative[0] + wrist, result.K), result.landmarks_px, atol=atol_px)


def augmented(sample: HandSample, chosen: AugmentationSettings, size: int, seed: int) -> HandSample:
    return augment(sample, draw_augmentation(sample, chosen, np.random.default_rng(seed)), size)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), flip=st.booleans())
def test_augmentation_keeps_image_mesh_and_camera_together(seed, flip, sample, template):
    original, wrist = sample
    chosen = AugmentationSettings(mirrored_share=0.5 * flip)
    result = augmented(original, chosen, 224, seed)
    assert_consistent(result, wrist, template.joint_regressor, 1e-6)
    assert result.image.shape == (224, 224, 3)
    # The mask is where the mesh projects to: the centre of its pixels is that of the projected vertices' hull.
    rows, columns = np.nonzero(result.mask > 127)
    relative = result.vertices_m - (template.joint_regressor @ result.vertices_m)[0]
    place = np.linalg.solve(result.K, [*result.landmarks_px[0], 1.0]) * wrist[2]
    hull = project(relative + place, result.K)
    inside = np.array([hull.min(axis=0).clip(0, 223), hull.max(axis=0).clip(0, 223)])
    np.testing.assert_allclose([[columns.min(), rows.min()], [columns.max(), rows.max()]], inside, atol=2.5)


def test_the_same_seed_gives_the_same_sample(sample):
    settings_ = AugmentationSettings()
    first, second, other = (augmented(sample[0], settings_, 96, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.K, second.K)
    assert (first.image != other.image).any()


def test_mirroring_twice_is_nothing_and_once_a_left_hand(sample):
    twice = mirror(mirror(sample[0]))
    for name in ("image", "mask", "landmarks_px", "vertices_m", "K"):
        np.testing.assert_allclose(getattr(twice, name), getattr(sample[0], name), rtol=1e-12)
    once = mirror(sample[0])
    np.testing.assert_array_equal(once.image[:, 0], sample[0].image[:, -1])
    np.testing.assert_array_equal(once.vertices_m[:, 0], -sample[0].vertices_m[:, 0])


def test_rotation_by_zero_is_nothing(sample):
    turned = rotate(sample[0], 0)
    np.testing.assert_array_equal(turned.image, sample[0].image)
    np.testing.assert_allclose(turned.landmarks_px, sample[0].landmarks_px)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_crop_contains_the_silhouette(seed, sample):
    outline = largest_contour(sample[0].mask > 127)[:, 0]
    center, half = silhouette_crop(outline.min(axis=0), outline.max(axis=0), 3.0, np.random.default_rng(seed))
    x, y, width, height = cv2.boundingRect(largest_contour(sample[0].mask > 127))
    assert center[0] - half <= x + 1e-9
    assert x + width <= center[0] + half + 1e-9
    assert center[1] - half <= y + 1e-9
    assert y + height <= center[1] + half + 1e-9
    assert 1.1 - 1e-9 <= half / (max(width, height) / 2) <= 1.5 + 1e-9


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), mirrored=st.booleans())
def test_the_crop_is_around_what_stays_in_the_image(seed, mirrored, sample):
    rng = np.random.default_rng(seed)
    mask, side = np.zeros((80, 80), np.uint8), 80
    left, top = rng.integers(0, 70, 2)
    mask[top : top + rng.integers(1, 30), left : left + rng.integers(1, 30)] = 255
    drawn = draw_augmentation(
        replace(sample[0], image=np.zeros((80, 80, 3), np.uint8), mask=mask),
        AugmentationSettings(position=0.0, color=False, mirrored_share=float(mirrored)),
        rng,
    )
    points = largest_contour(mask > 127)[:, 0].astype(float)
    if drawn.mirrored:
        points[:, 0] = side - 1 - points[:, 0]
    points = transform_points(points, rotation_affine(side, drawn.angle_degrees))
    points = points[((points > -0.5) & (points < side - 0.5)).all(axis=1)]
    if len(points):
        sides = np.ptp(points, axis=0) + 1
        np.testing.assert_allclose(drawn.center_px, points.min(axis=0) + sides / 2)
        np.testing.assert_allclose(drawn.half_px, 1.3 * sides.max() / 2)


def test_a_hand_turned_out_of_the_image_still_gives_a_sample(sample):
    empty = replace(sample[0], mask=np.zeros_like(sample[0].mask))
    result = augmented(empty, AugmentationSettings(), 64, 0)
    assert np.isfinite(result.K).all()


def test_crops_move_points_as_they_move_the_camera(rng):
    K = np.array([[450.0, 0, 100], [0, 460, 120], [0, 0, 1]])
    points = rng.normal(0, 0.05, (10, 3)) + np.array([0, 0, 0.6])
    box = (np.array([90.0, 130]), 47.0, 160)
    np.testing.assert_allclose(project(points, crop_intrinsics(K, *box)), crop_points(project(points, K), *box))


def test_colour_jitter_changes_colours_only(sample):
    results = [jitter_color(sample[0].image, draw_jitter(np.random.default_rng(seed))) for seed in range(60)]
    assert all(result.dtype == np.uint8 and result.shape == sample[0].image.shape for result in results)
    changed = [np.abs(result.astype(int) - sample[0].image).mean() for result in results]
    assert min(changed) < 1 < max(changed)


def test_largest_contour_and_empty_masks():
    mask = np.zeros((40, 40), bool)
    assert largest_contour(mask) is None
    mask[2:5, 2:5] = True
    mask[10:30, 10:35] = True
    assert cv2.boundingRect(largest_contour(mask)) == (10, 10, 25, 20)
    probability = np.zeros((20, 20), np.float32)
    assert predicted_contour(probability, 40) is None
    probability[5:15, 5:15] = 0.9
    assert abs(cv2.contourArea(predicted_contour(probability, 40)) - 20 * 20) < 60
