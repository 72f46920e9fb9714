"""Arithmetic and memory traffic of a function, and what the machine could do at best."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from models.packed import WITH_ONEDNN


@dataclass(frozen=True)
class Machine:
    """What was reached with the simplest operations: a large matrix product, and a copy."""

    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Work:
    """Floating-point operations of products and convolutions, and bytes that PyTorch's operations read and write."""

    flops: int
    bytes: int

    def floor_s(self, machine: Machine) -> float:
        """No faster than this on the machine, if nothing is fused."""
        return max(self.flops / machine.flops_per_s, self.bytes / machine.bytes_per_s)


class _Traffic(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            leaves = tree_leaves((args, kwargs or {}, result))
            self.bytes += sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, torch.Tensor))
        return result


def _convolution_flops(
    _x: Sequence[int],
    second: Sequence[int],
    third: Sequence[int] | None,
    *_: object,
    out_shape: Sequence[int],
    **_others: object,
) -> int:
    """Of oneDNN's convolution, which PyTorch's counter does not know. What it adds, if anything, comes before the
    weights."""
    weight = third if third is not None and len(third) == len(out_shape) else second
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _linear_flops(x: Sequence[int], *_: object, out_shape: Sequence[int], **_others: object) -> int:
    """Of oneDNN's product."""
    return 2 * math.prod(out_shape) * x[-1]


def count_work(function: Callable[[], object]) -> Work:
    """Count what a function does once."""
    known = {}
    if WITH_ONEDNN:
        known[torch.ops.mkldnn._convolution_pointwise] = _convolution_flops
        known[torch.ops.mkldnn._linear_pointwise] = _linear_flops
    with FlopCounterMode(display=False, custom_mapping=known) as flops, _Traffic() as traffic:
        function()
    return Work(flops.get_total_flops(), traffic.bytes)


def measure_machine(device: torch.device, kind: torch.dtype, seconds: float = 1.0) -> Machine:
    """Best of many tries."""
    side = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return Machine(
        flops_per_s=2 * side**3 / _best(lambda: a @ b, seconds),
        bytes_per_s=2 * source.numel() * 4 / _best(lambda: target.copy_(source), seconds),
    )


def _best(function: Callable[[], object], seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        started = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return best
