"""The networks against outputs of the reference implementation, key by key and number by number."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from models import build_model
from models.checkpoint import model_from_checkpoint, read_checkpoint
from models.losses import cmr_loss
from tests.conftest import shared_file

TOLERANCE = 1e-4  # relative to the largest value


@pytest.fixture(scope="module")
def fill():
    spec = importlib.util.spec_from_file_location("fill", shared_file("golden", "fill.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled_model(fill, name, template):
    model = build_model(name, "ResNet18", template)
    model.load_state_dict(fill.fill_state_dict(model.state_dict()))
    return model.eval()


@pytest.mark.parametrize("network", ["cmr_g_ResNet18", "cmr_pg_ResNet18", "cmr_sg_ResNet18", "cmr_sg_ResNet50"])
def test_keys_and_shapes(network, released_template):
    expected = json.loads(shared_file("golden", "state_dict_keys.json").read_text())[network]
    model = build_model(*network.split("_ResNet")[0:1], "ResNet" + network.split("_ResNet")[1], released_template)
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected


@pytest.mark.parametrize("name", ["cmr_g", "cmr_pg", "cmr_sg"])
def test_outputs_and_losses(name, released_template, fill):
    golden = np.load(shared_file("golden", f"forward_{name}_resnet18.npz"))
    model = filled_model(fill, name, released_template)
    with torch.no_grad():
        images = fill.golden_input()
        output = model(images)
        logits = model(images, as_logits=True)
    meshes, heatmaps, silhouette = fill.golden_targets(released_template.num_vertices[:4])
    terms = cmr_loss(logits, meshes, heatmaps, silhouette, torch.from_numpy(released_template.faces[0]))

    checked = 0
    for key in golden.files:
        if key.startswith("mesh_pred_"):
            value = output["mesh_pred"][int(key[-1])].numpy()
        elif key.startswith("loss_"):
            value = terms[key.removeprefix("loss_")].numpy()
        elif key.endswith("_mean"):
            value = output[key.removesuffix("_mean")].mean().numpy()
        else:
            value = output[key].numpy()[..., ::4, ::4]
        assert np.abs(value - golden[key]).max() <= TOLERANCE * np.abs(golden[key]).max(), key
        checked += 1
    assert checked == len(golden.files)
    assert len(terms) == sum(key.startswith("loss_") for key in golden.files)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_released_layouts_load_strictly(attention, wrapped, template, tmp_path):
    model = build_model("cmr_g", "ResNet18", template, att=attention)
    weights = model.state_dict()
    content = weights
    if wrapped:
        optimizer = torch.optim.Adam(model.parameters())
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
        content = {
            "epoch": 37,
            "model_state_dict": weights,
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler_state_dict": scheduler.state_dict(),
        }
    torch.save(content, tmp_path / "released.pt")
    checkpoint = read_checkpoint(tmp_path / "released.pt")
    loaded = model_from_checkpoint(checkpoint, template)
    assert (checkpoint.name, checkpoint.backbone, checkpoint.attention) == ("cmr_g", "ResNet18", attention)
    assert all(torch.equal(value, weights[key]) for key, value in loaded.state_dict().items())
