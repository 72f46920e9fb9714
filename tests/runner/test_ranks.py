"""Two gloo processes on the CPU against one: training, resuming, evaluation."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from datasets.sampler import EpochBatches
from handmesh.errors import InputError
from tests.runner.conftest import LAST, command, training, weights
from utils.template import ROOT

STEPS = 4


def run_two(phase, data, out, *arguments, status=0):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    called = [*launcher, str(ROOT / "run.py"), *command(phase, data, out, *arguments)]
    result = subprocess.run(called, capture_output=True, text=True, check=False, timeout=180)
    assert (result.returncode == 0) == (status == 0), result.stderr[-3000:]
    return result


def losses(out):
    log = (out / "FreiHAND/cmr/train.log").read_text()
    return [float(value) for value in re.findall(r"step \d+: .*, loss ([\d.]+)", log)]


@pytest.fixture(scope="module")
def by_two(rendered_freihand, tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    run_two("train", rendered_freihand, out, *training("--max_steps", str(STEPS)))
    return out


def test_two_processes_train_as_one_that_accumulates(by_two, rendered_freihand, tmp_path, run):
    run("train", rendered_freihand, tmp_path, *training("--max_steps", str(STEPS), "--accumulate", "2"))
    expected = losses(tmp_path)
    assert len(expected) == STEPS
    assert losses(by_two) == pytest.approx(expected, rel=2e-3)  # and written once, by one process
    first, second = weights(by_two), weights(tmp_path)
    assert first["step"] == second["step"] == STEPS
    for name, value in first["model_state_dict"].items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, second["model_state_dict"][name], atol=1e-3, rtol=0)


def test_a_run_of_two_is_resumed_by_one(by_two, rendered_freihand, tmp_path, run):
    last = by_two / LAST
    run("train", rendered_freihand, tmp_path, "--max_steps", "6", "--log_steps", "1", "--resume", str(last))
    assert weights(tmp_path)["step"] == 6
    assert len(losses(tmp_path)) == 2


def test_evaluation_by_two_writes_one_file_in_order(by_two, rendered_freihand, tmp_path, run):
    last = str(by_two / LAST)
    run("eval", rendered_freihand, tmp_path / "one", "--resume", last)
    run_two("eval", rendered_freihand, tmp_path / "two", "--resume", last)
    one, two = (json.loads((tmp_path / name / "FreiHAND/cmr/cmr.json").read_text()) for name in ("one", "two"))
    for expected, found in zip(one, two, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (tmp_path / "two/FreiHAND/cmr/scores.txt").is_file()


@pytest.mark.parametrize(("parts", "ranks"), [(1, 2), (2, 2), (3, 1), (1, 6)])
def test_processes_and_parts_share_the_samples_of_a_step(parts, ranks):
    whole = list(EpochBatches(40, 12, 2, seed=5, start_step=1))
    shares = [
        list(EpochBatches(40, 12, 2, seed=5, start_step=1, parts=parts, rank=r, ranks=ranks)) for r in range(ranks)
    ]
    assert all(len(share) == len(whole) * parts for share in shares)
    for step, batch in enumerate(whole):
        joined = [key for share in shares for part in share[step * parts : (step + 1) * parts] for key in part]
        assert sorted(joined) == sorted(batch)


def test_what_cannot_be_shared_is_an_error():
    with pytest.raises(InputError, match="multiple of 4"):
        EpochBatches(20, 6, 2, seed=5, parts=2, ranks=2)
    with pytest.raises(InputError, match="do not fill"):
        EpochBatches(3, 4, 2, seed=5, ranks=2)
