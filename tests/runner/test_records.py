"""Checkpoints whose record of the training is damaged: named before anything is trained, their weights still of use."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import run as program
from handmesh.errors import InputError
from models.checkpoint import read_checkpoint
from models.weight_file import read_weight_file, write_weight_file
from runner.board import Board
from runner.log import start_log
from tests.runner.conftest import LAST, command, training, weights

MOBILE = ["--model", "cmr_mobile", "--img_mean", "0", "--img_std", "1"]  # its checkpoints are the smallest


@pytest.fixture(scope="module")
def trained(rendered_freihand, tmp_path_factory):
    """A checkpoint after one step."""
    out = tmp_path_factory.mktemp("one_step")
    assert program.main(command("train", rendered_freihand, out, *training(*MOBILE, "--max_steps", "1"))) == 0
    torch.set_num_threads(2)
    return weights(out)


def with_moment(content, **changed):
    """The content with other moments of its first parameter."""
    state = content["optimizer_state_dict"]
    moments = {**state["state"], 0: {**state["state"][0], **changed}}
    return {"optimizer_state_dict": {**state, "state": moments}}


def record(name, value):
    return lambda content: {name: value}


def moment(name, change):
    return lambda content: with_moment(content, **{name: change(content["optimizer_state_dict"]["state"][0][name])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (record("step", -1), "step is -1, expected a whole number of at least 0"),
        (record("step", float("inf")), "step is inf"),
        (record("step", 1.5), "step is 1.5"),
        (record("step", True), "step is True"),
        (record("step", "3"), "step is '3'"),
        (record("num_samples", 0), "num_samples is 0, expected a whole number of at least 1"),
        (record("num_samples", [16]), "num_samples is a list"),
        (record("rng", "x"), "rng is 'x'"),
        (record("rng", {"cpu": [1], "cuda": []}), "rng is a dict, expected states of random numbers"),
        (record("rng", {"cpu": torch.zeros(3, dtype=torch.uint8), "cuda": []}), "rng: "),
        (record("options", [1]), "its options are a list, expected a dict"),
        (record("options", {"lr": "fast"}), "--lr: 'fast' is not of type float; name another --lr, or start a new"),
        (record("options", {"lr": -1.0}), "--lr -1.0: expected a number from 0"),
        (record("options", {"batch_size": [4]}), "--batch_size: expected one value"),
        (record("optimizer_state_dict", "x"), "optimizer_state_dict: expected the state of Adam"),
        (record("optimizer_state_dict", {"state": {}, "param_groups": [3]}), "it is of other parameters"),
        (moment("exp_avg", lambda value: value[:1]), "parameter 0 has no moments of its shape"),
        (moment("exp_avg_sq", lambda value: value.flatten()), "parameter 0 has no moments of its shape"),
        (moment("exp_avg_sq", lambda value: -1 - value), "parameter 0 has no moments"),
        (moment("exp_avg", lambda value: value * np.nan), "parameter 0 has no moments"),
        (moment("step", lambda value: "one"), "parameter 0 has no moments"),
    ],
)
def test_what_is_wrong_is_named(change, message, trained, rendered_freihand, tmp_path, run):
    path = tmp_path / "changed.pt"
    torch.save({**trained, **change(trained)}, path)
    printed = run("train", rendered_freihand, tmp_path, "--resume", str(path), status=2)
    error = printed.strip().splitlines()[-1]
    assert error.startswith(f"error: {path}: ")
    assert message in error
    assert "--weights_only" in error
    assert not (tmp_path / LAST).exists()


def test_a_run_on_other_data_sets_does_not_go_on(trained, rendered_freihand, tmp_path, run):
    options = {**trained["options"], "dataset": ["FreiHAND:1", "RHD:3"]}
    torch.save({**trained, "options": options}, tmp_path / "other.pt")
    printed = run("train", rendered_freihand, tmp_path, "--resume", str(tmp_path / "other.pt"), status=2)
    assert "RHD:3" in printed
    assert "resume on the same data" in printed


def test_the_weights_of_a_damaged_record_start_a_new_run(trained, rendered_freihand, tmp_path, run):
    torch.save({**trained, "step": -1, "rng": None, "optimizer_state_dict": "x", "options": 3}, tmp_path / "changed.pt")
    arguments = ["--resume", str(tmp_path / "changed.pt"), "--weights_only", "--size", "64", "--batch_size", "4"]
    assert "new run from the weights" in run("train", rendered_freihand, tmp_path, *arguments, "--max_steps", "1")
    assert weights(tmp_path)["step"] == 1


def test_a_value_on_the_command_line_comes_before_a_damaged_one(trained, rendered_freihand, tmp_path, run):
    torch.save({**trained, "options": {**trained["options"], "lr": "fast"}}, tmp_path / "changed.pt")
    arguments = ["--resume", str(tmp_path / "changed.pt"), "--lr", "1e-5", "--max_steps", "2"]
    run("train", rendered_freihand, tmp_path, *arguments)
    assert weights(tmp_path)["step"] == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value, trained, tmp_path):
    name, good = next(iter(trained["model_state_dict"].items()))
    broken = good.clone()
    broken.view(-1)[-1] = value
    path = tmp_path / "broken.pt"
    torch.save({**trained["model_state_dict"], name: broken}, path)
    with pytest.raises(InputError, match=f"broken.pt: its weights {name} are not all finite"):
        read_checkpoint(path)


@pytest.fixture
def full_disk():
    """A context in which files of this process take 100 kB each and no more."""
    resource = pytest.importorskip("resource", reason="only here a process can be held to files of a size")

    @contextmanager
    def limited():
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


def test_a_disk_that_takes_no_more_leaves_the_last_file(tmp_path, full_disk):
    path = tmp_path / "kept.pt"
    write_weight_file(path, {"step": 1})
    with full_disk(), pytest.raises(InputError, match=r"kept.pt: cannot be written \(File too large\)"):
        write_weight_file(path, {"step": 2, "weights": torch.zeros(100_000)})
    assert read_weight_file(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["kept.pt"]


def test_log_and_board_say_that_the_disk_takes_no_more(tmp_path, full_disk, rng):
    log, board = start_log(tmp_path / "train.log"), Board(tmp_path / "board", 0)
    with full_disk(), pytest.raises(InputError, match=r"train.log: cannot be written \(File too large\)"):
        log.info("x" * 100_001)
    with full_disk(), pytest.raises(InputError, match=r"board: cannot be written \(File too large\)"):
        board.add_image("noise", rng.integers(0, 255, (256, 256, 3), np.uint8), 1)
    board.close()
