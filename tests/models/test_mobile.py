"""The mobile network: parity of its trunk with the published one, its maps, its training on cached features."""

import cv2
import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch.autograd import gradcheck

from datasets.augmentation import UPRIGHT_MARGIN, UPRIGHT_MARGIN_JITTER, UPRIGHT_SHIFT, AugmentationSettings
from datasets.augmented import HOST, SampleSettings
from datasets.features import FeatureSamples, finish_features
from datasets.freihand import FreiHANDTraining
from handmesh.detector import LANDMARK_PX
from handmesh.errors import InputError
from handmesh.images import read_image
from handmesh.runtime import FOLDER
from models import build_model
from models.checkpoint import model_from_checkpoint, read_checkpoint
from models.inference import _single_thread, for_inference
from models.mobile import mean_position
from models.spiral import _ManyProducts
from utils.template import ROOT

WIDTHS = (8, 8, 16, 16)
POOLED = "model_1/model/global_average_pooling2d/Mean"


@pytest.fixture(scope="module")
def mobile(template):
    torch.manual_seed(0)
    return build_model("cmr_mobile", "HandTrunk", template, pretrained=True, out_channels=WIDTHS).eval()


def test_trunk_has_the_pooled_features_of_the_published_network(mobile):
    published = Interpreter(str(FOLDER / "hand_landmark_full.tflite"), experimental_preserve_all_tensors=True)
    published.allocate_tensors()
    (place,) = [detail["index"] for detail in published.get_tensor_details() if detail["name"] == POOLED]
    for name in ("back", "palm", "pointing"):
        image = cv2.resize(read_image(ROOT / f"images/{name}_img.jpg"), (LANDMARK_PX, LANDMARK_PX))
        published.set_tensor(published.get_input_details()[0]["index"], image[None].astype(np.float32) / 255)
        published.invoke()
        with torch.inference_mode():
            found = mobile.trunk(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).pooled
        np.testing.assert_allclose(found.numpy().ravel(), published.get_tensor(place).ravel(), atol=1e-3)


def test_outputs_and_their_places(mobile, template):
    with torch.inference_mode():
        output = mobile(torch.rand(2, 3, 224, 224))
    assert [mesh.shape[1] for mesh in output["mesh_pred"]] == list(template.num_vertices[:4])
    assert output["uv_pred"].shape == (2, 21, 28, 28)
    assert output["mask_pred"].shape == (2, 28, 28)
    assert ((output["landmarks"] > -1) & (output["landmarks"] < 224)).all()


def test_folded_copy_predicts_the_same(mobile):
    model = mobile.train()
    with torch.no_grad():
        model(torch.rand(4, 3, 224, 224))  # running means that are not those of a new network
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        expected, found = model.eval()(images), for_inference(model)(images)
    for name in ("uv_pred", "mask_pred", "landmarks"):
        torch.testing.assert_close(found[name], expected[name], atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(found["mesh_pred"][0], expected["mesh_pred"][0], atol=1e-4, rtol=1e-4)


def test_a_single_image_leaves_the_number_of_threads_as_it_was(mobile):
    network, threads = for_inference(mobile), torch.get_num_threads()
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        together, alone = network(images), network(images[:1])
    assert torch.get_num_threads() == threads
    torch.testing.assert_close(alone["landmarks"], together["landmarks"][:1], atol=1e-2, rtol=1e-4)
    with pytest.raises(RuntimeError), torch.inference_mode():
        network(images[:1, :2])
    assert torch.get_num_threads() == threads
    with _single_thread, _single_thread:
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads


def test_mirror_images_can_be_told_without_weights_for_it(mobile, template, tmp_path):
    weights = {name: value for name, value in mobile.state_dict().items() if not name.startswith("mirrored")}
    torch.save({"model_state_dict": weights, "template_digest": template.digest}, tmp_path / "before.pt")
    model = model_from_checkpoint(read_checkpoint(tmp_path / "before.pt"), template).eval()
    with torch.inference_mode():
        assert (model(torch.rand(2, 3, 224, 224))["mirrored"] == 0.5).all()


def test_mean_of_a_map_is_where_its_mass_is():
    shares = torch.zeros(1, 2, 28, 28)
    shares[0, 0, 3, 10] = 1
    shares[0, 1, 27, 0] = shares[0, 1, 27, 2] = 0.5
    expected = torch.tensor([[[10.5 / 28, 3.5 / 28], [1.5 / 28, 27.5 / 28]]])
    torch.testing.assert_close(mean_position(shares), expected)


def test_gradients_of_many_products():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    parts = torch.randn(5, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(_ManyProducts.apply, (x, parts))


@pytest.fixture(scope="module")
def hands(rendered_freihand, template):
    augmentation = AugmentationSettings(rotation_degrees=25, upright=True)
    settings = SampleSettings(augmentation=augmentation, mean=0.0, std=1.0, pixels=HOST)
    return FreiHANDTraining(rendered_freihand, template.num_vertices[0], settings)


def test_upright_crops_are_upright_and_hold_most_of_the_hand(hands):
    closest, inside = UPRIGHT_MARGIN * np.exp(-UPRIGHT_MARGIN_JITTER), []
    reach_px = 112 * (1 + 2 * UPRIGHT_SHIFT) / closest  # of a landmark from the middle of the closest crop
    for index in range(len(hands)):
        sample = hands[0, index]
        landmarks = sample["landmarks_px"]
        step = landmarks[9] - landmarks[0]
        assert abs(np.degrees(np.arctan2(step[0], -step[1]))) < 26
        assert (abs(landmarks - 111.5) < reach_px + 1).all()
        inside.append(((landmarks > 0) & (landmarks < 223)).all(axis=1))
    assert np.mean(inside) > 0.95


def test_features_are_those_of_the_samples_and_made_once(hands, mobile, tmp_path):
    trunk = mobile.trunk
    features = FeatureSamples(tmp_path, hands, 20, trunk, workers=0, chunk=10)
    (tmp_path / "00000010.npy").unlink()  # as if killed in the second file
    before = (tmp_path / "00000000.npy").stat().st_mtime_ns
    features = FeatureSamples(tmp_path, hands, 20, trunk, workers=0, chunk=10)
    assert (tmp_path / "00000000.npy").stat().st_mtime_ns == before
    row, sample = features[7, 18], hands[divmod(18, len(hands))]
    with torch.inference_mode():
        expected = trunk(torch.from_numpy(sample["pixels"]).permute(2, 0, 1)[None].float() / 255)
    batch = finish_features({name: torch.from_numpy(value)[None] for name, value in row.items()}, 224)
    torch.testing.assert_close(batch["image"].map, expected.pyramid[0], atol=1e-3, rtol=1e-3)  # half precision
    with torch.inference_mode():
        found = trunk(batch["image"])
    torch.testing.assert_close(found.pooled, expected.pooled, atol=0.02, rtol=2e-3)
    torch.testing.assert_close(found.pyramid[2], expected.pyramid[2], atol=0.02, rtol=2e-3)
    torch.testing.assert_close(batch["mesh"][0], torch.from_numpy(sample["mesh"]))
    with torch.inference_mode():
        output = mobile.eval()(batch["image"])
    assert torch.isfinite(output["mesh_pred"][0]).all()
    other = build_model("cmr_mobile", "HandTrunk", ROOT / "template/open_hand", out_channels=WIDTHS).trunk
    with pytest.raises(InputError, match="another trunk"):
        FeatureSamples(tmp_path, hands, 20, other, workers=0, chunk=10)
