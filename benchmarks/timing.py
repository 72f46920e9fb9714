"""Timing of several ways to do the same work, side by side."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median, 95th percentile and number of calls."""

    p50_s: float
    p95_s: float
    calls: int


def compare(ways: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Time all ways in turn, over and over, so that a machine that slows down slows all of them.

    Args:
        ways: name to function.
        seconds: how long to go on, at least five rounds, after a fifth of that for warming up, at least one round.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    end, warm = time.perf_counter() + seconds / 5, False
    while not warm or time.perf_counter() < end:
        for function in ways.values():
            function()
        warm = True
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(taken.values()))) < 5:
        for name, function in ways.items():
            _synchronize()
            started = time.perf_counter()
            function()
            _synchronize()
            taken[name].append(time.perf_counter() - started)
    return {
        name: Timing(float(np.median(values)), float(np.percentile(values, 95)), len(values))
        for name, values in taken.items()
    }


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def linear_fit(sizes: list[int], seconds: list[float]) -> dict[str, float]:
    """Least-squares line through seconds over sizes: intercept, slope, and the share of the variance it explains."""
    slope, intercept = np.polyfit(sizes, seconds, 1)
    residual = np.array(seconds) - (intercept + slope * np.array(sizes))
    return {
        "intercept_s": float(intercept),
        "slope_s": float(slope),
        "r_squared": float(1 - residual.var() / np.var(seconds)),
    }
