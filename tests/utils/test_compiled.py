"""Compiled loops on PyTorch's threads: every one of the things is done once, and nobody's settings change."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from utils.compiled import compiled, compiled_in_parallel, share_bounds, share_out
from utils.template import ROOT


@compiled
def _add(result, step, start, end):
    for i in range(start, end):
        result[i] += step


@compiled_in_parallel
def _add_all(arguments, count, shares):
    for share in numba.prange(shares):
        _add(*(arguments + share_bounds(count, share, shares)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_everything_is_done_once(count):
    result = np.zeros(count, np.int64)
    share_out(_add, _add_all, count, result, 3)
    assert (result == 3).all()


def test_shares_follow_each_other_and_are_equal():
    for count in (0, 1, 5, 17):
        for shares in (1, 2, 5):
            bounds = [share_bounds(count, share, shares) for share in range(shares)]
            assert [start for start, _ in bounds] + [count] == [0] + [end for _, end in bounds]
            assert max(end - start for start, end in bounds) - min(end - start for start, end in bounds) <= 1


def test_several_of_pythons_threads_at_a_time():
    results = np.zeros((4, 10_000), np.int64)

    def many(result):
        for _ in range(200):
            share_out(_add, _add_all, len(result), result, 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(many, results))
    assert (results == 200).all()


THREADS = """
import numba, numpy as np, torch
torch.set_num_threads(2)
from tests.test_compiled import _add, _add_all, share_out
from utils.compiled import _several_may_ask
result = np.zeros(100, np.int64)
for _ in range(2):
    share_out(_add, _add_all, len(result), result, 1)
    assert torch.get_num_threads() == 2, torch.get_num_threads()
    assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
assert (result == 2).all()
print(_several_may_ask())
"""


@pytest.mark.parametrize(
    ("variables", "in_parallel"),
    [({"NUMBA_NUM_THREADS": "7"}, None), ({"NUMBA_THREADING_LAYER": "workqueue"}, "False")],
)
def test_numbers_of_threads_stay_as_they_were(variables, in_parallel):
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert in_parallel in (None, done.stdout.strip())
