"""The networks against outputs of the reference implementation, key by key and number by number."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models import build_model
from models.checkpoint import model_from_checkpoint, read_checkpoint
from models.cmr import OUT_CHANNELS
from models.losses import cmr_loss
from tests.golden.fill import fill_state_dict, golden_input, golden_targets

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RELEASED_COARSEST = 49  # vertices of MANO's coarsest level
TOLERANCE = 1e-4  # relative to the largest value


@pytest.mark.parametrize("network", ["cmr_g_ResNet18", "cmr_pg_ResNet18", "cmr_sg_ResNet18", "cmr_sg_ResNet50"])
def test_keys_and_shapes(network, template):
    expected = json.loads((GOLDEN / "state_dict_keys.json").read_text())[network]
    for key in ("de_layers.0.weight", "de_layers.0.bias"):  # all that depends on the number of vertices
        assert expected[key][0] == RELEASED_COARSEST * OUT_CHANNELS[-1]
        expected[key][0] = template.num_vertices[-1] * OUT_CHANNELS[-1]
    name, depth = network.split("_ResNet")
    model = build_model(name, f"ResNet{depth}", template)
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected


@pytest.mark.parametrize("name", ["cmr_g", "cmr_pg", "cmr_sg"])
def test_outputs_and_losses(name, template):
    golden = np.load(GOLDEN / f"forward_{name}_resnet18_open.npz")
    model = build_model(name, "ResNet18", template).eval()
    model.load_state_dict(fill_state_dict(model.state_dict()))
    with torch.inference_mode():
        output, logits = model(golden_input()), model(golden_input(), as_logits=True)
    meshes, heatmaps, silhouette = golden_targets(template.num_vertices[:4])
    terms = cmr_loss(logits, meshes, heatmaps, silhouette, torch.from_numpy(template.faces[0]))

    found = {f"loss_{key}": value for key, value in terms.items()}
    found |= {f"mesh_pred_{level}": mesh for level, mesh in enumerate(output.pop("mesh_pred"))}
    for key, maps in output.items():
        found |= {key: maps[..., ::8, ::8], f"{key}_mean": maps.mean()}
    assert found.keys() == set(golden.files)
    for key, value in found.items():
        assert np.abs(value.numpy() - golden[key]).max() <= TOLERANCE * np.abs(golden[key]).max(), key


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
