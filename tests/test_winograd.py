"""Winograd's convolution against the direct one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.winograd import MOST_WEIGHTS, WinogradConv, suits, use_winograd

CHANNELS = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), CHANNELS, CHANNELS, st.integers(13, 34), st.integers(13, 34), st.booleans(), st.integers(0, 9)
)
def test_equals_the_direct_convolution(batch, inputs, outputs, height, width, bias, seed):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    x = torch.randn(batch, inputs, height, width)
    with torch.inference_mode():
        found = WinogradConv(convolution)(x)
        expected = convolution.double()(x.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0)


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
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    x = torch.randn(1, 8, 7, 7)
    with torch.inference_mode():
        assert torch.equal(WinogradConv(convolution)(x), convolution(x))


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
        nn.Conv2d(512, MOST_WEIGHTS // 512 + 1, 3, padding=1),
    ],
)
def test_others_are_left_as_they_are(other):
    assert not suits(other)
    network = nn.Sequential(nn.Sequential(other), nn.Conv2d(8, 4, 3, padding=1))
    use_winograd(network)
    assert network[0][0] is other
    assert isinstance(network[1], WinogradConv)
