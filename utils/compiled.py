"""Compiled loops: how they are compiled, and how they share PyTorch's number of threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import torch

compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")


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
