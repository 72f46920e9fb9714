"""The command line: names, defaults, and errors that say what to do."""

import subprocess
import sys
from dataclasses import fields

import pytest

from handmesh.errors import InputError
from options import Options, parse_options
from options.options import RECORDED
from runner.setup import select_device, with_recorded_options
from utils.template import ROOT

REFERENCE_NAMES = {
    *("exp_name", "dataset", "model", "backbone", "size", "batch_size", "epochs", "lr", "lr_decay", "decay_step"),
    *("resume", "out_channels", "seq_length", "dilation", "pos_aug", "rot_aug", "color_aug", "flip_aug"),
    *("img_mean", "img_std", "ms_mesh", "att", "n_threads", "device_idx"),
}


def test_every_option_of_the_reference_exists_with_its_value():
    assert {item.name for item in fields(Options)} >= REFERENCE_NAMES
    options = with_recorded_options(parse_options(["--phase", "train"]), None)
    assert (options.model, options.backbone, options.size, options.batch_size) == ("cmr_g", "ResNet18", 224, 32)
    assert (options.lr, options.lr_decay, options.decay_step, options.epochs) == (1e-4, 0.1, 30, 38)
    assert (options.out_channels, options.seq_length, options.dilation) == ((64, 128, 256, 512), (27,) * 4, (1,) * 4)
    assert (options.img_mean, options.img_std, options.pos_aug, options.rot_aug) == (0.5, 0.5, 3, 90)
    assert (options.color_aug, options.flip_aug, options.ms_mesh, options.att) == (True, False, True, None)


def test_values_are_typed():
    options = parse_options(["--lr", "3e-4", "--out_channels", "8", "8", "16", "16", "--att", "--color_aug", "false"])
    assert options.lr == 3e-4
    assert options.out_channels == (8, 8, 16, 16)
    assert options.att is True
    assert options.color_aug is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "100"], "multiple of 32"),
        (["--batch_size", "0"], "at least 1"),
        (["--lr", "nan"], "--lr"),
        (["--lr", "inf"], "--lr"),
        (["--pos_aug", "inf"], "--pos_aug"),
        (["--img_mean", "nan"], "--img_mean"),
        (["--seed", "99999999999999999999"], "--seed"),
        (["--seq_length", "1", "1", "1", "1"], "at least 3"),
        (["--img_std", "0"], "at least 0.001"),
        (["--rot_aug", "200"], "at most 180"),
        (["--seq_length", "9", "9"], "4 numbers"),
        (["--out_channels", "9", "8", "8", "8"], "multiples of 4"),
        (["--device", "cpu", "--device_idx", "1"], "leave it out"),
        (["--exp_name", "a/b"], "without slashes"),
        (["--phase", "score", "--gt", "x"], "needs --pred"),
        (["--phase", "eval", "--pred", "x"], "belongs to --phase score"),
        (["--phase", "train", "--image_dir", "x"], "belongs to --phase demo"),
        (["--resume", "last", "--imagenet", "none"], "leave one of them out"),
    ],
)
def test_contradictions_say_what_to_do(arguments, message):
    with pytest.raises(InputError, match=message):
        parse_options(arguments)


@pytest.mark.parametrize("arguments", [["--no_such_option"], ["--phase", "fly"], ["--att", "perhaps"], ["--exp", "x"]])
def test_unknown_options_and_values_leave_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        parse_options(arguments)
    assert error.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_is_grouped_and_states_every_default(capsys):
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n{title}:\n" in text for title in ("run", "data", "model", "training and evaluation"))
    flat = " ".join(text.split())
    for item in fields(Options):
        assert f"--{item.name}" in text
        default = RECORDED.get(item.name, item.default)
        if isinstance(default, (int, float)):
            assert str(default) in flat


def test_a_device_that_is_not_there_is_an_input_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert select_device(Options(device="auto")).type == "cpu"
    with pytest.raises(InputError, match="--device cpu"):
        select_device(Options(device="cuda"))


def test_errors_reach_the_terminal_without_a_traceback(tmp_path):
    command = [sys.executable, str(ROOT / "run.py"), "--phase", "eval", "--out_dir", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "checkpoint_last.pt" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--phase", "train", "--eval_samples", "3"], "--phase synth"),
        (["--phase", "demo", "--stream", "3"], "--phase train"),
        (["--phase", "train", "--stream", "3", "--data_dir", "x"], "leave one of them out"),
        (["--phase", "train", "--hand", "left"], "with --stream"),
        (["--phase", "train", "--stream", "3", "--makers", "4"], "with --cache"),
        (["--phase", "eval", "--skins", "x"], "--phase synth"),
    ],
)
def test_generator_options_belong_to_their_phases(arguments, expected):
    with pytest.raises(InputError, match=expected):
        parse_options(arguments)


def test_generator_options_are_taken_where_they_belong():
    assert parse_options(["--phase", "synth", "--hand", "left"]).data_root == ROOT / "data/Synthetic"
    assert parse_options(["--phase", "train", "--stream", "9", "--skins", "x"]).stream == 9
    assert parse_options(["--phase", "train", "--resume", "last", "--hand", "left"]).hand == "left"
