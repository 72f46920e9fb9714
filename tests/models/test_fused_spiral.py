"""Spiral convolutions as one product and one compiled sum, against the layers they stand for."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models import build_model
from models.fused_spiral import FusedSpirals
from models.inference import exchange_convolutions
from models.spiral import SpiralBlock, SpiralConv


def layers(rng, in_channels=5, out_channels=8):
    """A layer that reads 7 vertices, and a block that makes 12 of 7."""
    up = sparse.random(12, 7, density=0.3, rng=rng).tolil()
    up[[3, 11]] = 0  # rows without entries, the last one too
    block = SpiralBlock(in_channels, out_channels, rng.integers(0, 12, (12, 9)), up.tocsr())
    for branch in (block.conv, block.conv_2d3, block.conv_d3, block.conv1):
        torch.nn.init.normal_(branch.layer.bias)
    return {"layer": SpiralConv(in_channels, 3, rng.integers(0, 7, (7, 4))), "block": block}


@pytest.mark.parametrize("kind", ["layer", "block"])
@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 5), in_channels=st.integers(1, 9), quarter=st.integers(1, 9), seed=st.integers(0, 99))
def test_equals_the_layer(kind, batch, in_channels, quarter, seed):
    torch.manual_seed(seed)
    layer = layers(np.random.default_rng(seed), in_channels, 4 * quarter)[kind]
    fused = FusedSpirals(layer)
    with torch.inference_mode():
        for count in (batch, 1, batch):  # packed again for another number of rows
            x = torch.randn(7, count, in_channels)
            torch.testing.assert_close(fused(x), layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["layer", "block"])
def test_equals_the_layer_in_bf16(rng, kind):
    torch.manual_seed(0)
    layer = layers(rng)[kind]
    for parameter in layer.parameters():  # the constants of the mesh stay exact, as in a network for inference
        parameter.data = parameter.data.bfloat16()
    exact = copy.deepcopy(layer)
    for parameter in exact.parameters():
        parameter.data = parameter.data.float()
    fused, x = FusedSpirals(layer), torch.randn(7, 2, 5).bfloat16()
    with torch.inference_mode():
        found = fused(x)
        assert found.dtype == layer(x).dtype
        torch.testing.assert_close(found.float(), exact(x.float()), atol=0.05, rtol=0.02)


@pytest.mark.parametrize("kind", ["layer", "block"])
def test_what_is_not_float32_inference_is_left_to_pytorch(rng, kind):
    layer = layers(rng)[kind]
    fused = FusedSpirals(layer)
    x = torch.randn(7, 2, 5)
    with torch.no_grad():
        fused(x)  # its weights are in another order now
        expected = layer.double()(x.double())
        torch.testing.assert_close(fused.double()(x.double()), expected, atol=1e-6, rtol=1e-6)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(fused.float()(x).square().sum(), x)
    (wanted,) = torch.autograd.grad(layer.float()(x).square().sum(), x)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["layer", "block"])
@pytest.mark.parametrize("vertices", [5, 6, 8])
def test_another_number_of_vertices_is_refused(rng, kind, vertices):
    fused = FusedSpirals(layers(rng)[kind])
    with torch.inference_mode(), pytest.raises(ValueError, match="vertices"):
        fused(torch.randn(vertices, 2, 5))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_of_what_has_run(rng, again):
    fused = FusedSpirals(layers(rng)["block"])
    x = torch.randn(7, 1, 5)
    with torch.inference_mode():
        expected = fused(x)
        torch.testing.assert_close(again(fused)(x), expected)
        torch.testing.assert_close(fused(x), expected)


def test_every_spiral_of_a_network_is_fused(template):
    network = build_model("cmr_g", "ResNet18", template, out_channels=(8, 8, 16, 16)).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network(x)["mesh_pred"]
        exchange_convolutions(network)
        assert not any(isinstance(module, SpiralConv | SpiralBlock) for module in network.modules())
        for one, other in zip(network(x)["mesh_pred"], expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def _in_a_process(fused: FusedSpirals, x: torch.Tensor, results: multiprocessing.SimpleQueue) -> None:
    torch.set_num_threads(1)
    with torch.inference_mode():
        results.put(fused(x).tolist())


def test_a_forked_process_with_one_thread_has_the_same_answer(rng):
    fused, x = FusedSpirals(layers(rng)["block"]), torch.randn(7, 2, 5)
    with torch.inference_mode():
        expected = fused(x)  # with all threads
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=_in_a_process, args=(fused, x, results), daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    torch.testing.assert_close(torch.tensor(results.get()), expected, atol=1e-5, rtol=1e-5)
