"""Phases as a user calls them, on one small network; in this process, because PyTorch takes seconds to load."""

import pytest
import torch

import run as program
from tests.conftest import SMALL_WIDTHS

SMALL = ["--size", "64", "--out_channels", *map(str, SMALL_WIDTHS), "--imagenet", "none"]
COMMON = ["--device", "cpu", "--n_threads", "1", "--workers", "0"]
LAST = "FreiHAND/cmr/checkpoints/checkpoint_last.pt"


def command(phase, data, out, *arguments):
    return ["--phase", phase, "--data_dir", str(data), "--out_dir", str(out), *COMMON, *arguments]


@pytest.fixture
def run(capfd):
    """Runs a phase in this process; returns what it printed, on both streams."""

    def call(phase, data, out, *arguments, status=0):
        found = program.main(command(phase, data, out, *arguments))
        printed = "".join(capfd.readouterr())
        assert found == status, printed[-2000:]
        return printed

    yield call
    torch.set_num_threads(2)


def training(*arguments):
    return [*SMALL, "--batch_size", "4", "--epochs", "3", "--log_steps", "1", "--save_steps", "2", *arguments]


def weights(out):
    return torch.load(out / LAST, weights_only=True)
