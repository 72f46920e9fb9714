"""Compiled loops: how they are compiled, and how they share PyTorch's number of threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import torch  # before numba, whose OpenMP is then PyTorch's: one set of threads for both

import numba  # isort: skip

# Of numba's kinds of threads the one that several of Python's threads may ask at a time.
OPENMP = find_spec("numba.np.ufunc.omppool") is not None
SETTINGS = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}

compiled = numba.njit(**SETTINGS)
compiled_in_parallel = numba.njit(**SETTINGS, parallel=OPENMP)


def share_out(
    alone: Callable[..., None], together: Callable[..., None], count: int, *arguments: object, at_least: int = 1
) -> None:
    """Do compiled work on `count` things with PyTorch's number of threads.

    Its threads start at a fraction of what those of `in_shares` take.

    Args:
        alone: takes the arguments and the bounds of what to do.
        together: made by `compiled_in_parallel`; takes the arguments, `count`, and in how many shares to do it.
        at_least: how many make a share of their own worthwhile.
    """
    shares = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, count // at_least)
    if shares < 2 or not OPENMP:  # a forked process may not have OpenMP's threads, but one of its own
        alone(*arguments, 0, count)
        return
    numba.set_num_threads(shares)
    together(*arguments, count, shares)


def in_shares(function: Callable[[int, int], object], count: int, at_least: int = 1) -> list:
    """Split `range(count)` and call a function with the bounds of each part, as many at a time as PyTorch has threads.

    Args:
        function: spends its time in code that does not hold Python's lock.
        at_least: how many make a part of their own worthwhile.

    Returns:
        What the calls returned, in order.
    """
    parts = max(min(torch.get_num_threads(), count // at_least), 1)
    bounds = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [function(*bounds)]
    pool = _pool(os.getpid(), parts)  # a forked process has none of the threads
    others = [pool.submit(function, *bounds[part : part + 2]) for part in range(1, parts)]
    return [function(*bounds[:2]), *(other.result() for other in others)]


@cache
def _pool(_process: int, parts: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(parts - 1, thread_name_prefix="compiled")
