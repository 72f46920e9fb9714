"""The measuring itself: counts in closed form, fits of known lines, and one real comparison."""

import time

import pytest
import torch
from torch import nn

from benchmarks.cases import BASELINE, Bench, registration
from benchmarks.timing import compare, linear_fit
from benchmarks.work import Machine, Work, count_work
from models.packed import WITH_ONEDNN, PackedConv, PackedLinear


def test_work_of_a_product():
    a, b = torch.randn(3, 5), torch.randn(5, 7)
    counted = count_work(lambda: (a @ b).relu())
    assert counted.flops == 2 * 3 * 5 * 7
    assert counted.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7 + 2 * 3 * 7)


@pytest.mark.skipif(not WITH_ONEDNN, reason="PyTorch came without oneDNN")
def test_work_of_a_convolution_with_weights_in_onednns_order():
    convolution, x = nn.Conv2d(8, 16, 3, padding=1, stride=2), torch.randn(1, 8, 20, 20)
    packed = PackedConv(convolution)
    with torch.inference_mode():
        packed(x)  # the first call brings the weights into their order
        assert count_work(lambda: packed(x)) == count_work(lambda: convolution(x))
        assert count_work(lambda: packed(x)).flops == 2 * (16 * 10 * 10) * (8 * 3 * 3)
        added = torch.randn(1, 16, 10, 10)
        assert count_work(lambda: packed(x, added)).flops == 2 * (16 * 10 * 10) * (8 * 3 * 3)


@pytest.mark.skipif(not WITH_ONEDNN, reason="PyTorch came without oneDNN")
def test_work_of_a_product_with_weights_in_onednns_order():
    packed, x = PackedLinear(torch.randn(7, 5)), torch.randn(3, 5)
    with torch.inference_mode():
        packed(x)
        assert count_work(lambda: packed(x)).flops == 2 * 3 * 5 * 7
        assert count_work(lambda: packed(x)).bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)


def test_the_floor_is_the_slower_of_arithmetic_and_memory():
    machine = Machine(flops_per_s=100.0, bytes_per_s=10.0)
    assert Work(flops=200, bytes=10).floor_s(machine) == 2
    assert Work(flops=200, bytes=50).floor_s(machine) == 5


def test_fit_of_a_line():
    fit = linear_fit([1, 2, 4, 8], [0.5 + 0.25 * size for size in (1, 2, 4, 8)])
    assert fit == pytest.approx({"intercept_s": 0.5, "slope_s": 0.25, "r_squared": 1.0})


def test_ways_take_turns():
    order = []

    def way(name):
        def function():
            order.append(name)
            time.sleep(0.001)

        return function

    timings = compare({"a": way("a"), "b": way("b")}, seconds=0)
    assert order == ["a", "b"] * 6  # one round to warm up, five that count
    assert all(timing.calls == 5 and 0.001 <= timing.p50_s <= timing.p95_s for timing in timings.values())


def test_registration_case(tmp_path):
    case = registration(Bench.make(torch.device("cpu"), tmp_path, "none"), batch=3)
    assert list(case.ways) == [BASELINE, "ours"]
    assert case.checks["hands where ours is worse by more than a millionth"] == 0
