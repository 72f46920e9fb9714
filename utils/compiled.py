"""Compiled loops: how they are compiled, and how they share PyTorch's number of threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import torch

_SETTINGS = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}

compiled = numba.njit(**_SETTINGS)
compiled_in_parallel = numba.njit(**_SETTINGS, parallel=True)


@compiled
def share_bounds(count: int, share: int, shares: int) -> tuple[int, int]:
    """First and last, exclusive, of `count` things that belong to one of several equal shares."""
    return count * share // shares, count * (share + 1) // shares


def share_out(alone: Callable[..., None], together: Callable[..., None], count: int, *arguments: object) -> None:
    """Do compiled work on `count` things with PyTorch's number of threads, which are PyTorch's own.

    They start in a fraction of the time that those of `in_shares` take. Not for forked processes, unless PyTorch is
    set to one thread there (as data workers do): nor are PyTorch's own operators.

    Args:
        alone: takes the arguments and the bounds of what to do.
        together: made by `compiled_in_parallel`; takes the arguments as a tuple, `count`, and the number of shares.
    """
    threads = torch.get_num_threads()
    shares = min(threads, count, numba.config.NUMBA_NUM_THREADS)
    if shares < 2:
        alone(*arguments, 0, count)
    elif not _several_may_ask():
        in_shares(lambda start, end: alone(*arguments, start, end), count)
    else:
        before = numba.get_num_threads()
        numba.set_num_threads(shares)
        try:
            together(arguments, count, shares)
        finally:
            numba.set_num_threads(before)
    if torch.get_num_threads() != threads:  # numba sets OpenMP to its own number when a thread first asks it
        torch.set_num_threads(threads)


@cache
def _several_may_ask() -> bool:
    """Whether several of Python's threads may run parallel loops at a time; numba's last resort does not allow it."""
    try:
        numba.get_num_threads()  # starts numba's threads
        return numba.threading_layer() in ("omp", "tbb")
    except (ImportError, ValueError):
        return False


def in_shares(function: Callable[[int, int], object], count: int, at_least: int = 1) -> list:
    """Split `range(count)` and call a function with the bounds of each part, as many at a time as PyTorch has threads.

    Args:
        function: spends its time in code that does not hold Python's lock.
        at_least: how many make a part of their own worthwhile.

    Returns:
        What the calls returned, in order.
    """
    parts = max(min(torch.get_num_threads(), count // at_least), 1)
    first, *rest = (share_bounds(count, part, parts) for part in range(parts))
    if not rest:
        return [function(*first)]
    pool = _pool(os.getpid(), parts)  # a forked process has none of the threads
    others = [pool.submit(function, *bounds) for bounds in rest]
    return [function(*first), *(other.result() for other in others)]


@cache
def _pool(_process: int, parts: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(parts - 1, thread_name_prefix="compiled")
