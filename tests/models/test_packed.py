"""Convolutions whose weights stay in oneDNN's order against PyTorch's."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

from models.folding import fold_batch_norm
from models.hand_trunk import HandTrunk, SameConv
from models.inference import exchange_convolutions
from models.layers import ConvBlock
from models.packed import WITH_BF16, PackedConv, PackedLinear, suits
from models.winograd import WinogradConv

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch came without oneDNN")
needs_bf16 = pytest.mark.skipif(not WITH_BF16, reason="this processor has no bf16 in oneDNN")
ACTIVATED = {"none": lambda x: x, "relu": torch.relu, "hardtanh": lambda x: x.clamp(0, 6)}


@pytest.mark.parametrize("activation", ["none", "relu", "hardtanh"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"out_channels": 40, "kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
        {"out_channels": 48, "kernel_size": 5, "padding": 2, "groups": 24},
        {"out_channels": 16, "kernel_size": (1, 3), "padding": (0, 2), "dilation": (1, 2)},
        {"out_channels": 64, "kernel_size": 1},
    ],
)
def test_equals_the_convolution(arguments, activation):
    torch.manual_seed(0)
    convolution = nn.Conv2d(24, **arguments)
    packed = PackedConv(convolution, activation)
    activated = ACTIVATED[activation]
    with torch.inference_mode():
        for shape in ((1, 24, 7, 7), (3, 24, 7, 7), (2, 24, 12, 5), (1, 24, 1, 1)):  # packed again for a new size
            x = (5 * torch.randn(shape)).contiguous(memory_format=torch.channels_last)
            plain = convolution(x)
            torch.testing.assert_close(packed(x), activated(plain), atol=1e-5, rtol=0)
            added = 5 * torch.randn_like(plain)
            torch.testing.assert_close(packed(x, added), activated(plain + added), atol=1e-5, rtol=0)
            found = packed(x.double(), added.double()).float()  # left to PyTorch
            torch.testing.assert_close(found, activated(plain + added), atol=1e-5, rtol=0)


@pytest.mark.parametrize("with_bf16", [pytest.param(True, marks=needs_bf16), False])
@pytest.mark.parametrize("activation", ["none", "relu", "hardtanh"])
def test_equals_the_convolution_in_bf16(activation, with_bf16, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr("models.packed.WITH_BF16", with_bf16)
    convolution = nn.Conv2d(24, 40, 3, padding=1, stride=2).bfloat16()
    packed = PackedConv(convolution, activation)
    activated = ACTIVATED[activation]
    x = (5 * torch.randn(3, 24, 7, 7)).bfloat16().contiguous(memory_format=torch.channels_last)
    added = 5 * torch.randn(3, 40, 4, 4).bfloat16()
    with torch.inference_mode():
        exact = copy.deepcopy(convolution).float()(x.float())
        for found, expected in ((packed(x), activated(exact)), (packed(x, added), activated(exact + added))):
            assert found.dtype == torch.bfloat16
            torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.02)  # rounded once or twice
        assert (packed.packed[0] is not None) == with_bf16


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16), torch.float64])
def test_rows_times_a_matrix(dtype):
    torch.manual_seed(0)
    weight = torch.randn(30, 20, dtype=dtype)
    packed = PackedLinear(weight)
    with torch.inference_mode():
        for rows in (40, 30, 3, 100):  # packed again where the number is another one
            x = torch.randn(rows, 20, dtype=dtype)
            expected = (x.double() @ weight.double().T).to(dtype)
            tolerance = 1e-5 if dtype != torch.bfloat16 else 0.02
            torch.testing.assert_close(packed(x), expected, atol=tolerance, rtol=tolerance)


def test_what_is_not_float32_inference_is_left_to_pytorch():
    convolution = nn.Conv2d(4, 6, 3, padding=1)
    packed = PackedConv(convolution, "relu")
    x = torch.randn(1, 4, 9, 9)
    with torch.no_grad():
        packed(x)  # its weights are in another order now
        expected = convolution.double()(x.double()).relu()
        torch.testing.assert_close(packed.double()(x.double()), expected, atol=1e-6, rtol=0)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(packed.float()(x).sum(), x)
    (wanted,) = torch.autograd.grad(convolution.float()(x).relu().sum(), x)
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_of_a_network_that_has_run(again):
    torch.manual_seed(0)
    network = nn.Sequential(ConvBlock(8, 64, 3, norm=False), nn.Conv2d(64, 8, 3, stride=2))
    exchange_convolutions(network)
    x = torch.randn(1, 8, 20, 20)
    with torch.inference_mode():
        expected = network(x)
        torch.testing.assert_close(again(network)(x), expected)
        torch.testing.assert_close(network(x), expected)


def test_a_block_does_its_relu_in_the_convolution():
    torch.manual_seed(0)
    network = nn.ModuleList([ConvBlock(8, 8, kernel, norm=False, relu=relu) for kernel in (1, 3) for relu in (0, 1)])
    x = torch.randn(1, 8, 20, 20)
    with torch.inference_mode():
        expected = [block(x) for block in network]
        exchange_convolutions(network)
        assert all(isinstance(block.relu, nn.Identity) for block in network)
        for block, wanted in zip(network, expected, strict=True):
            torch.testing.assert_close(block(x), wanted, atol=1e-5, rtol=0)


def test_a_residual_block_does_its_sum_in_the_convolution():
    torch.manual_seed(0)
    narrow = nn.Sequential(nn.Conv2d(8, 12, 1, stride=2, bias=False), nn.BatchNorm2d(12))
    wide = nn.Sequential(nn.Conv2d(12, 450, 1, stride=2, bias=False), nn.BatchNorm2d(450))
    network = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 12, 2, narrow), BasicBlock(12, 450, 2, wide)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.randn(2, 8, 40, 30)
    with torch.inference_mode():
        expected = network(x)
        fold_batch_norm(network)
        exchange_convolutions(network)
        assert not any(isinstance(module, nn.Conv2d | nn.ReLU) for module in network.modules())
        assert [type(block.conv2) for block in network] == [WinogradConv, WinogradConv, PackedConv]
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


def test_an_unfolded_batch_normalisation_keeps_its_relu():
    block = ConvBlock(8, 8, 1).eval()
    x = torch.randn(1, 8, 20, 20)
    with torch.inference_mode():
        block.norm.bias += 1
        expected = block(x)
        exchange_convolutions(block)
        torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=0)


def test_normalisation_before_a_linear_layer_is_folded():
    network = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)).eval()
    for statistic in (network[0].running_mean, network[0].weight, network[0].bias):
        nn.init.normal_(statistic)
    nn.init.uniform_(network[0].running_var, 0.5, 2)
    x = torch.randn(5, 6)
    with torch.no_grad():
        expected = network(x)
        fold_batch_norm(network)
        assert not any(isinstance(module, nn.BatchNorm1d) for module in network.modules())
        torch.testing.assert_close(network(x), expected)


def test_the_trunk_clips_in_its_convolutions():
    torch.manual_seed(0)
    trunk = HandTrunk().eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for convolution in trunk.convolutions():
            convolution.weight *= 3  # or nothing would reach 6
        expected = trunk(x)
        assert F.relu6(expected.pooled).max() > 5
        exchange_convolutions(trunk)
        found = trunk(x)
    assert not trunk.convolutions()
    for one, other in zip((*found.pyramid, found.pooled), (*expected.pyramid, expected.pooled), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)


def test_other_paddings_are_left_as_they_are():
    assert suits(nn.Conv2d(4, 4, 3, stride=2))
    assert not suits(SameConv(4, 4, 3, 2))  # pads and clips by itself
    assert not suits(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    assert not suits(nn.ConvTranspose2d(4, 4, 3))
    assert not suits(nn.LazyConv2d(4, 3))
    assert not suits(nn.Linear(4, 4))
