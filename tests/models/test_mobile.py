"""The mobile network: parity of its trunk with the published one, its maps, its training on cached features."""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from datasets.augmentation import UPRIGHT_MARGIN, UPRIGHT_MARGIN_JITTER, UPRIGHT_SHIFT, AugmentationSettings
from datasets.augmented import SampleSettings
from datasets.freihand import FreiHANDTraining
from handmesh.images import read_image
from handmesh.runtime import DATA
from models import build_model
from models.mobile import mean_position
from tests.conftest import SMALL_WIDTHS
from utils.template import ROOT

POOLED = "model_1/model/global_average_pooling2d/Mean"


@pytest.fixture(scope="module")
def mobile(template):
    torch.manual_seed(0)
    return build_model("cmr_mobile", "", template, pretrained=True, out_channels=SMALL_WIDTHS).eval()


def test_trunk_has_the_pooled_features_of_the_published_network(mobile):
    published = onnx.load(DATA / "hand_landmark.onnx")
    published.graph.output.append(onnx.helper.make_empty_tensor_value_info(POOLED))
    session = onnxruntime.InferenceSession(published.SerializeToString(), providers=["CPUExecutionProvider"])
    for name in ("back", "palm", "pointing"):
        image = cv2.resize(read_image(ROOT / f"images/{name}_img.jpg"), (224, 224))
        image = image[None].astype(np.float32) / 255
        (expected,) = session.run([POOLED], {"image": image})
        with torch.inference_mode():
            found = mobile.trunk(torch.from_numpy(image).permute(0, 3, 1, 2)).pooled
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_outputs_and_their_places(mobile, template):
    with torch.inference_mode():
        output = mobile(torch.rand(2, 3, 224, 224))
    assert [mesh.shape[1] for mesh in output["mesh_pred"]] == list(template.num_vertices[:4])
    assert output["uv_pred"].shape == (2, 21, 28, 28)
    assert output["mask_pred"].shape == (2, 28, 28)
    assert ((output["landmarks"] > -1) & (output["landmarks"] < 224)).all()


def test_mean_of_a_map_is_where_its_mass_is():
    shares = torch.zeros(1, 2, 28, 28)
    shares[0, 0, 3, 10] = 1
    shares[0, 1, 27, 0] = shares[0, 1, 27, 2] = 0.5
    expected = torch.tensor([[[10.5 / 28, 3.5 / 28], [1.5 / 28, 27.5 / 28]]])
    torch.testing.assert_close(mean_position(shares), expected)


@pytest.fixture(scope="module")
def hands(rendered_freihand, template):
    augmentation = AugmentationSettings(rotation_degrees=25, upright=True)
    settings = SampleSettings(augmentation=augmentation, mean=0.0, std=1.0)
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
