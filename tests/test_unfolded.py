"""Convolutions as one matrix product against PyTorch's."""

import pytest
import torch
from torch import nn

from models.inference import exchange_convolutions
from models.unfolded import FEWEST_WEIGHTS, UnfoldedConv, suits


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(7, 7), (14, 14), (5, 8), (1, 1)])
def test_equals_the_convolution(stride, height, width, bias):
    torch.manual_seed(0)
    convolution = nn.Conv2d(24, 40, 3, padding=1, stride=stride, bias=bias).double()
    x = torch.randn(3, 24, height, width, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(UnfoldedConv(convolution)(x), convolution(x), atol=1e-12, rtol=0)


def test_only_those_with_many_weights_are_exchanged():
    few, many = nn.Conv2d(64, 64, 3, padding=1, stride=2), nn.Conv2d(512, 512, 3, padding=1)
    assert few.in_channels * few.out_channels < FEWEST_WEIGHTS
    network = nn.ModuleDict({"few": few, "block": nn.Sequential(many), "point": nn.Conv2d(512, 512, 1)})
    exchange_convolutions(network)
    assert network["few"] is few
    assert isinstance(network["block"][0], UnfoldedConv)
    assert isinstance(network["point"], nn.Conv2d)
    assert not suits(nn.Conv2d(512, 512, 3, padding=1, stride=(1, 2)))
