"""How much of the time a GPU has something to do, and what it does then."""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks import cases
from benchmarks.cases import Bench, training_batch, training_step
from benchmarks.timing import compare

PROFILED_CALLS = 5
NAMED_KERNELS = 8
NAME_LETTERS = 90


def busy(bench: Bench, arguments: argparse.Namespace) -> dict:
    """Of predicting and training in the fastest precision: seconds of kernels over seconds, the longest kernels."""
    precision = bench.precisions[-1]
    samples = training_batch(bench, 128)
    works: dict[str, Callable[[], object]] = {}
    for batch in (1, 64):
        ways = cases.image_to_mesh(bench, batch).ways
        works |= {f"image to mesh, batch {batch}, {name}": way for name, way in ways.items() if precision in name}
    step = training_step(bench, precision)
    works[f"training step, batch 128, {precision}"] = lambda: step(samples)
    result = {}
    for name, work in works.items():
        seconds = compare({name: work}, min(arguments.seconds, 3))[name].p50_s
        kernels = kernel_seconds(work)
        share = sum(kernels.values()) / seconds
        print(f"busy {share:.0%} of {1e3 * seconds:.2f} ms: {name}, {len(kernels)} kinds of kernels")
        longest = sorted(kernels.items(), key=lambda item: -item[1])[:NAMED_KERNELS]
        for kernel, taken in longest:
            print(f"    {1e3 * taken:8.3f} ms  {kernel[:NAME_LETTERS]}")
        result[name] = {"p50_s": seconds, "busy": share, "kernels": dict(longest)}
    return result


def kernel_seconds(work: Callable[[], object]) -> dict[str, float]:
    """Seconds that the kernels of one call take, by name."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        for _ in range(PROFILED_CALLS):
            work()
        torch.cuda.synchronize()
    kernels = [event for event in found.key_averages() if event.device_type == DeviceType.CUDA]
    times = np.array([event.self_device_time_total for event in kernels]) / 1e6 / PROFILED_CALLS
    return {event.key: float(taken) for event, taken in zip(kernels, times, strict=True)}
