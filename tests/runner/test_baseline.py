"""The plain baselines of the benchmarks do the same work: their answers are ours."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from benchmarks.baseline.loader import PlainFreiHAND, draw_heatmap
from benchmarks.baseline.network import PlainCMR, PlainUpsample
from benchmarks.baseline.plot import plain_plot
from benchmarks.baseline.predictor import PlainPredictor
from benchmarks.baseline.registration import BOUNDS, extent_objective, landmark_errors, register_with_slsqp
from benchmarks.baseline.training import PlainStep
from datasets.augmented import SampleSettings, half_size
from datasets.freihand import FreiHANDTraining
from datasets.heatmaps import landmark_heatmaps
from handmesh.geometry import MESH_SCALE_M, project
from handmesh.outline import largest_contour
from models import HandPredictor
from models.losses import cmr_loss
from models.predictor import what_is_seen
from models.registration import contour_extents, fit_extents, fit_landmarks, register
from runner.train import coarse_selections
from tests.conftest import shared_file
from tests.rendered_freihand import SIZE, place_hand, render, silhouette

CLOSE_M = 2e-3


def test_the_network_gives_the_same_output(small_model, template):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    model = copy.deepcopy(small_model).to(memory_format=torch.channels_last).eval()
    plain = PlainCMR(model, template)
    assert not plain.training
    assert plain.state_dict().keys() == model.state_dict().keys()
    with torch.inference_mode():
        expected, found = model(images), plain(images)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5)


def test_plain_upsampling_is_the_matrix_product(template, rng):
    for matrix in template.up:
        x = rng.normal(size=(2, matrix.shape[1], 3)).astype(np.float32)
        found = PlainUpsample(matrix)(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, np.stack([matrix @ row for row in x]), atol=1e-6)


def test_a_training_step_has_the_same_loss_and_gradients(small_model, template, rng):
    batch = {
        "image": rng.normal(size=(2, 3, 64, 64)),
        "mesh": rng.normal(0, 0.3, (2, *template.vertices.shape)),
        "heatmaps": rng.uniform(size=(2, 21, 32, 32)),
        "silhouette": rng.uniform(size=(2, 32, 32)),
    }
    batch = {name: torch.from_numpy(value).float() for name, value in batch.items()}
    model = copy.deepcopy(small_model).train()
    plain = PlainStep(model, template)
    meshes = [batch["mesh"], *(batch["mesh"][:, index] for index in coarse_selections(template))]
    targets = (meshes, batch["heatmaps"], batch["silhouette"], torch.from_numpy(template.faces[0]))
    loss = cmr_loss(model(batch["image"], as_logits=True), *targets)["loss"]
    loss.backward()
    assert plain.step(batch) == pytest.approx(loss.item(), rel=1e-5)
    largest = max(float(parameter.grad.abs().max()) for parameter in model.parameters())
    for name, parameter in plain.network.named_parameters():
        assert (parameter.grad - model.get_parameter(name).grad).abs().max() < 1e-4 * largest, name
    assert plain.step(batch) < loss.item()


def compare_registrations(vertices, joints, landmarks, confidence, K, contours):
    """Our objectives are the same or better on hands given as arrays (N, ...); how far apart the results are, (N,)."""
    tensors = [torch.from_numpy(value).double() for value in (vertices, joints, landmarks, confidence, K)]
    extents = torch.stack([contour_extents(torch.from_numpy(contour)) for contour in contours])
    from_landmarks, used = fit_landmarks(*tensors[1:])
    found = register(*tensors, SIZE, extents).translation_m.numpy()
    distances = []
    for i, contour in enumerate(contours):
        hand = [tensor[i].numpy() for tensor in tensors]
        start = register_with_slsqp(*hand, SIZE, None)
        errors = [landmark_errors(t, hand[1], hand[2], hand[4]) for t in (from_landmarks[i].numpy(), start)]
        ours, theirs = ((error[used[i].numpy()] ** 2).mean() for error in errors)
        assert ours <= theirs * (1 + 1e-6) + 1e-9

        outline = (hand[0], extents[i].numpy(), hand[4], SIZE)
        one = (tensor[i][None] for tensor in (tensors[0], extents, tensors[4]))
        refined = fit_extents(*one, SIZE, torch.from_numpy(start)[None])
        theirs = minimize(extent_objective, start, outline, "SLSQP", bounds=BOUNDS).fun
        assert extent_objective(refined[0].numpy(), *outline) <= theirs * (1 + 1e-6) + 1e-9
        distances.append(np.linalg.norm(found[i] - register_with_slsqp(*hand, SIZE, contour)))
    return np.array(distances)


@pytest.mark.parametrize("noise_px", [0.0, 1.5])
def test_registration_finds_the_same_place_or_a_better_one(template, rng, noise_px):
    hands, cameras = zip(*(place_hand(template, rng) for _ in range(8)), strict=True)
    vertices, K = np.stack(hands), np.stack(cameras)
    joints = template.joint_regressor @ vertices
    root = joints[:, :1]
    landmarks = project(joints, K[0]) + noise_px * rng.normal(size=(8, 21, 2))
    masks = [silhouette(hand, template.faces[0], K[0], SIZE) for hand in hands]
    contours = [largest_contour(mask > 0)[:, 0].astype(np.float64) for mask in masks]
    distances = compare_registrations(vertices - root, joints - root, landmarks, np.ones((8, 21)), K, contours)
    assert distances.max() < CLOSE_M


def test_registration_on_the_reference_cases():
    with np.load(shared_file("golden", "registration.npz")) as golden:
        contours = np.split(golden["contours"].astype(np.float64), np.cumsum(golden["contour_len"])[:-1])
        vertices, joints, landmarks, confidence, K = (golden[name] for name in ("vertex", "joints", "uv", "conf", "K"))
        t_full = golden["t_full"]
    hands = (vertices, joints, landmarks, confidence[..., 0], K)
    distances = compare_registrations(*hands, contours)
    # SLSQP ends its 1D stage early, by its tolerance, and one case is a near tie of what to reject.
    assert (distances < CLOSE_M).sum() >= 37
    assert distances.max() < 4e-3
    rows = zip(*(value.astype(np.float64) for value in hands), contours, t_full, strict=True)
    reference = [np.linalg.norm(register_with_slsqp(*row[:5], SIZE, row[5]) - row[6]) for row in rows]
    assert np.mean(reference) < 1e-3
    assert max(reference) < 5e-3


def test_the_loader_makes_the_same_samples(template, rendered_freihand):
    arguments = (rendered_freihand, template.num_vertices[0], SampleSettings(seed=5))
    plain, ours = PlainFreiHAND(*arguments), FreiHANDTraining(*arguments)
    assert len(plain) == len(ours)
    for key in [(0, 0), (0, 9), (1, 0), (3, 15)]:
        found, expected = plain[key], ours[key]
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].dtype == value.dtype
            np.testing.assert_allclose(found[name], value, atol=1e-6, rtol=0, err_msg=name)


def test_heat_maps_are_cut_off_at_the_borders_alike():
    edges = np.array([-7.0, -0.6, -0.4, 0.5, 3.2, 111.5, 218.0, 223.4, 226.0, 260.0])
    landmarks = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2)
    found = np.stack([half_size(draw_heatmap(landmark, SIZE)) for landmark in landmarks])
    np.testing.assert_allclose(found, landmark_heatmaps(landmarks, SIZE, 2), atol=1e-6)


def test_the_plot_shows_something(template, rng):
    vertices, K = place_hand(template, rng)
    image, mask = render(vertices, K, template, rng)
    joints = template.joint_regressor @ vertices
    pixels = (project(vertices, K), vertices, project(joints, K), joints)
    sheet = plain_plot(image, mask / 255, *pixels, template.faces[0])
    height, width, channels = sheet.shape
    assert (channels, sheet.dtype) == (3, np.uint8)
    assert height >= 300
    assert width >= 5 * 300
    assert all(panel.std() > 5 for panel in np.array_split(sheet, 5, axis=1))


class Seen(nn.Module):
    """A network that predicts what it was told."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


@pytest.mark.parametrize("seed", range(4))
def test_the_predictor_puts_a_hand_in_the_same_place(small_model, template, seed):
    generator = np.random.default_rng(seed)
    vertices, K = place_hand(template, generator)
    image, mask = render(vertices, K, template, generator)
    joints = template.joint_regressor @ vertices
    maps = {
        "mesh_pred": (vertices - joints[0]) / MESH_SCALE_M,
        "uv_pred": landmark_heatmaps(project(joints, K), SIZE, 2),
        "mask_pred": half_size(mask) / 255,
    }
    output = {name: torch.from_numpy(value).float()[None] for name, value in maps.items()}
    output["mesh_pred"] = [output["mesh_pred"]]
    plain, ours = PlainPredictor(small_model, template), HandPredictor(small_model, template)
    plain.model = seen = Seen(output)
    ours._see = partial(what_is_seen, seen, SIZE, ours.mobile)
    found, expected = plain(image, K), ours(image, K)
    assert expected.success.all()
    assert np.linalg.norm(found - expected.vertices_m[0], axis=1).max() < CLOSE_M
    assert np.linalg.norm(found - vertices, axis=1).max() < 0.03


def test_the_predictor_reads_an_image_alike(small_model, template, rng):
    """Mesh relative to one vertex: the landmarks of an untrained network are anywhere."""
    image = rng.integers(0, 256, (240, 300, 3), np.uint8)
    K = np.array([[500.0, 0, 150], [0, 500, 120], [0, 0, 1]])
    found = PlainPredictor(small_model, template)(image, K)
    expected = HandPredictor(small_model, template)(image, K).vertices_m[0]
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-5)
