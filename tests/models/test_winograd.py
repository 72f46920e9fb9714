"""Winograd's convolution against the direct one."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models import build_model
from models.inference import exchange_convolutions, for_inference
from models.packed import PackedConv
from models.packed import suits as suits_packed
from models.winograd import FEW_TILES, LARGE, MOST_TILES, MOST_WEIGHTS, SMALL, WinogradConv, suits

CHANNELS = st.integers(1, 40)
SIDE, FLAG = st.integers(13, 34), st.booleans()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), CHANNELS, CHANNELS, SIDE, SIDE, FLAG, FLAG, FLAG, FLAG, st.integers(0, 9))
def test_equals_the_direct_convolution(batch, inputs, outputs, height, width, bias, relu, add, small, seed):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    x = torch.randn(batch, inputs, height, width)
    added = torch.randn(batch, outputs, height, width) if add else None
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.winograd.FEW_TILES", 10_000 if small else 0)
        found = WinogradConv(convolution, relu)(x, added)
        expected = convolution.double()(x.double())
    expected = expected + added if add else expected
    expected = expected.relu() if relu else expected
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("inputs", "outputs", "side", "batch"), [(768, 256, 14, 1), (768, 256, 14, 4), (96, 128, 56, 1)]
)
def test_rounding_stays_small_where_activations_are_large_and_positive(inputs, outputs, side, batch):
    torch.manual_seed(0)
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    x = 100 + 30 * torch.randn(batch, inputs, side, side).relu()
    with torch.inference_mode():
        found = WinogradConv(convolution)(x).double()
        direct = convolution(x).double()
        expected = convolution.double()(x.double())
    largest = expected.abs().max()
    assert (found - expected).abs().max() < 1e-5 * largest
    assert (direct - expected).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("few_tiles", [FEW_TILES, 10_000])
def test_many_tiles_are_done_in_parts(monkeypatch, few_tiles):
    monkeypatch.setattr("models.winograd.FEW_TILES", few_tiles)
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, padding=1)
    x, added = torch.randn(5, 3, 61, 90), torch.randn(5, 5, 61, 90)
    assert MOST_TILES < 5 * 16 * 23
    with torch.inference_mode():
        torch.testing.assert_close(WinogradConv(convolution)(x, added), convolution(x) + added, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("batch", "tile"), [(1, SMALL), (FEW_TILES // 16, LARGE)])
def test_tiles_are_large_where_they_are_many(batch, tile):
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    winograd = WinogradConv(convolution)
    small, x = torch.randn(1, 8, 7, 7), torch.randn(batch, 8, 14, 14)
    with torch.inference_mode():
        winograd(small)  # directly, which brings the weights into another order
        torch.testing.assert_close(winograd(x), convolution(x), atol=1e-5, rtol=0)
        assert list(winograd.matrices) == [tile]
        copied = copy.deepcopy(winograd)
        torch.testing.assert_close(copied(x), winograd(x))


def test_what_is_added_is_of_the_results_shape():
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, padding=1)
    x, bias = torch.randn(2, 3, 30, 30), torch.randn(1, 5, 1, 1)
    with torch.inference_mode():
        found = WinogradConv(convolution)(x, bias)
        torch.testing.assert_close(found, convolution(x) + bias, atol=1e-5, rtol=0)
        with pytest.raises(RuntimeError):
            WinogradConv(convolution)(x, torch.randn(2, 5, 29, 30))


def test_what_is_not_float32_inference_is_convolved_directly():
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    winograd = WinogradConv(convolution)
    x = torch.randn(1, 4, 30, 30, requires_grad=True)
    (gradient,) = torch.autograd.grad(winograd(x).sum(), x)
    (expected,) = torch.autograd.grad(convolution(x).sum(), x)
    assert torch.equal(gradient, expected)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(winograd(x), convolution(x))
    with torch.no_grad():
        assert winograd.double()(x.double()).dtype == torch.float64


def test_networks_use_it_on_a_cpu_in_float32(template):
    model = build_model("cmr_g", "ResNet18", template, out_channels=(8, 8, 16, 16))
    counts = {precision: _count(for_inference(model, precision)) for precision in ("float32", "bf16")}
    assert counts["float32"] > 20
    assert counts["bf16"] == 0
    assert _count(for_inference(model, compiled="default")) == 0


def test_large_ones_would_fill_the_memory():
    assert suits(nn.Conv2d(512, MOST_WEIGHTS // 512, 3, padding=1))
    assert not suits(nn.Conv2d(512, MOST_WEIGHTS // 512 + 1, 3, padding=1))


def _count(network):
    return sum(isinstance(module, WinogradConv) for module in network.modules())


def test_any_number_of_threads_gives_the_same():
    convolution = WinogradConv(nn.Conv2d(16, 24, 3, padding=1))
    x = torch.randn(1, 16, 50, 50)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                results.append(convolution(x))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(results[2], results[0], atol=1e-5, rtol=0)


def test_small_maps_are_convolved_directly():
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    x = torch.randn(1, 8, 7, 7)
    with torch.inference_mode():
        assert torch.equal(WinogradConv(convolution)(x), PackedConv(convolution)(x))


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(8, 8, 3, padding=1, stride=2),
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.Conv2d(8, 8, (1, 3), padding=(0, 1)),
    ],
)
def test_others_are_not_for_winograd(other):
    assert not suits(other)
    network = nn.Sequential(nn.Sequential(other), nn.Conv2d(8, 4, 3, padding=1))
    exchange_convolutions(network)
    assert isinstance(network[0][0], PackedConv) if suits_packed(other) else network[0][0] is other
    assert isinstance(network[1], WinogradConv)


def test_threads_do_not_share_what_is_between_the_transforms():
    torch.manual_seed(0)
    convolutions = [WinogradConv(nn.Conv2d(12, width, 3, padding=1)) for width in (8, 24)]
    x = torch.randn(1, 12, 60, 60)

    def results(convolution):
        with torch.inference_mode():
            return [convolution(x) for _ in range(30)]

    alone = [results(convolution)[0] for convolution in convolutions]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(results, convolutions))
    for expected, found in zip(alone, together, strict=True):
        for one in found:
            torch.testing.assert_close(one, expected, atol=1e-5, rtol=0)
