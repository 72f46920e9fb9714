"""Networks as ONNX files: they predict as in PyTorch, say what they are, and are not written where they would not."""

import copy

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from handmesh.confidence import Calibration
from handmesh.errors import InputError
from handmesh.network import OnnxNetwork
from models import build_model
from models.export import export_network
from models.onnx_file import store_half_where_exact
from models.torch_network import TorchNetwork
from tests.conftest import SMALL_WIDTHS

INPUT = {"size": 64, "mean": 0.5, "std": 0.25}
CALIBRATION = Calibration((0.5, -1.0, 2.0), 12.0)


def trained(model):
    """With batch statistics that are not those of a new network, and attention that does something."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "attention.gamma":
                parameter.fill_(0.5)
        for _ in range(3):
            model(torch.rand(2, 3, INPUT["size"], INPUT["size"]))
    return model


@pytest.mark.parametrize(
    ("name", "backbone", "attention"),
    [
        ("cmr_g", "ResNet18", True),
        ("cmr_mobile", "", None),
        pytest.param("cmr_pg", "ResNet18", None, marks=pytest.mark.slow),
        pytest.param("cmr_sg", "ResNet50", False, marks=pytest.mark.slow),
    ],
)
def test_a_file_predicts_and_says_the_same(name, backbone, attention, template, tmp_path, capfd):
    model = trained(build_model(name, backbone, template, attention, out_channels=SMALL_WIDTHS))
    export_network(model, template, tmp_path / "net.onnx", **INPUT, calibration=CALIBRATION)
    assert capfd.readouterr() == ("", "")
    there, here = OnnxNetwork(tmp_path / "net.onnx"), TorchNetwork(model, template, **INPUT, calibration=CALIBRATION)
    for field, value in vars(here.description).items():
        np.testing.assert_equal(getattr(there.description, field), value, field)
    images = np.random.default_rng(1).random((5, 3, 64, 64), np.float32)
    found, expected = there(images), here(images)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4 * np.abs(value).max(), err_msg=key)


def test_constants_are_stored_in_half_precision_where_that_loses_nothing():
    rng = np.random.default_rng(0)
    exact, other = rng.integers(-9, 9, 1000).astype(np.float32), rng.random(1000, np.float32)
    nodes = [helper.make_node("Mul", ["x", "exact"], ["y"]), helper.make_node("Add", ["y", "other"], ["z"])]
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1000]) for name in "xz")
    constants = [numpy_helper.from_array(value, name) for name, value in {"exact": exact, "other": other}.items()]
    model = helper.make_model(helper.make_graph(nodes, "", [given], [result], constants))
    store_half_where_exact(model)
    assert [tensor.data_type for tensor in model.graph.initializer] == [TensorProto.FLOAT16, TensorProto.FLOAT]
    x = rng.random(1000, np.float32)
    (found,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_array_equal(found, x * exact + other)


@pytest.mark.slow
def test_a_network_that_diverged_is_not_written(small_model, template, tmp_path):
    broken = copy.deepcopy(small_model)
    broken.heads[3].layer.bias.data.fill_(torch.nan)
    with pytest.raises(InputError, match=r"net\.onnx.*mesh_pred_0"):
        export_network(broken, template, tmp_path / "net.onnx", **INPUT)
    assert not list(tmp_path.iterdir())
