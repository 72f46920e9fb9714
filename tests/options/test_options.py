"""The command line: names, defaults, what a checkpoint brings, and errors that say what to do."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from datasets import TRAINING_SETS
from datasets.augmented import DEVICE, REFERENCE
from datasets.synthesis.camera import HAND_PX
from handmesh.camera import DEFAULT_FOV_DEGREES
from handmesh.detector import DETECT
from handmesh.errors import InputError
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD
from handmesh.hand import LEFT, RIGHT
from handmesh.results import DEFAULT_RESULTS, RESULTS
from models import BACKBONES
from models.build import MODELS
from models.cmr import OUT_CHANNELS
from options import Options, parse_options
from options.options import DATASETS, OPTIONS, ROOT
from options.resolution import with_stored
from runner.setup import select_device
from utils import template

REFERENCE_NAMES = {
    *("exp_name", "dataset", "model", "backbone", "size", "batch_size", "epochs", "lr", "lr_decay", "decay_step"),
    *("resume", "out_channels", "seq_length", "dilation", "pos_aug", "rot_aug", "color_aug", "flip_aug"),
    *("img_mean", "img_std", "ms_mesh", "att", "n_threads", "device_idx"),
}
NETWORK = {"model": "cmr_g", "backbone": "ResNet18", "att": False, "out_channels": (64, 128, 256, 512)}


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path, monkeypatch):
    (tmp_path / "x.pt").touch()
    monkeypatch.chdir(tmp_path)


def test_every_option_of_the_reference_exists_with_its_value():
    assert {item.name for item in fields(Options)} >= REFERENCE_NAMES
    options = parse_options(["--phase", "train"])
    assert (options.model, options.backbone, options.size, options.batch_size) == ("cmr_g", "ResNet18", 224, 32)
    assert (options.lr, options.lr_decay, options.decay_step, options.epochs) == (1e-4, 0.1, 30, 38)
    assert (options.out_channels, options.seq_length, options.dilation) == ((64, 128, 256, 512), (27,) * 4, (1,) * 4)
    assert (options.img_mean, options.img_std, options.pos_aug, options.rot_aug) == (0.5, 0.5, 3, 90)
    assert (options.color_aug, options.flip_aug, options.ms_mesh, options.att) == (True, False, True, None)


def test_literals_are_the_constants_of_the_code():
    defaults = Options()
    assert (defaults.size, defaults.img_mean, defaults.img_std) == (INPUT_SIZE_PX, INPUT_MEAN, INPUT_STD)
    assert (defaults.fov, defaults.hand_px, defaults.out_channels) == (DEFAULT_FOV_DEGREES, HAND_PX, OUT_CHANNELS)
    assert (defaults.template, defaults.seq_length) == (template.OPEN_HAND, (template.SPIRAL_LENGTH,) * 4)
    assert template.ROOT == ROOT
    choices = {name: item.metadata["choices"] for name, item in OPTIONS.items()}
    assert set(DATASETS) == set(TRAINING_SETS)
    assert set(choices["model"]) == set(MODELS)
    assert set(choices["backbone"]) == set(BACKBONES)
    assert set(choices["detect"]) == set(DETECT)
    assert set(choices["save"]) == set(RESULTS)
    assert set(defaults.save) == set(DEFAULT_RESULTS)
    assert set(choices["hand"]) == {"auto", LEFT, RIGHT}
    assert set(choices["augment"]) == {"auto", DEVICE, REFERENCE}


def test_help_loads_nothing_that_takes_time():
    program = (
        "import sys\nfrom options import parse_options\n"
        "try:\n    parse_options(['--help'])\nfinally:\n"
        "    assert not {'numpy', 'cv2', 'torch', 'handmesh'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)


def test_values_are_typed():
    options = parse_options(["--lr", "3e-4", "--out_channels", "8", "8", "16", "16", "--att", "--color_aug", "false"])
    assert options.lr == 3e-4
    assert options.out_channels == (8, 8, 16, 16)
    assert options.att is True
    assert options.color_aug is False
    assert options.given == {"lr", "out_channels", "att", "color_aug"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "100"], "multiple of 32"),
        (["--batch_size", "0"], "from 1"),
        (["--lr", "nan"], "--lr"),
        (["--lr", "inf"], "--lr"),
        (["--pos_aug", "inf"], "--pos_aug"),
        (["--img_mean", "nan"], "--img_mean"),
        (["--seed", "99999999999999999999"], "--seed"),
        (["--seq_length", "1", "1", "1", "1"], "from 3"),
        (["--img_std", "0"], "from 0.001"),
        (["--rot_aug", "200"], "to 180"),
        (["--out_channels", "9", "8", "8", "8"], "multiple of 4"),
        (["--device", "cpu", "--device_idx", "1"], "leave it out"),
        (["--exp_name", "a/b"], "without slashes"),
        (["--phase", "score", "--gt", "x"], "needs --pred"),
        (["--phase", "eval", "--pred", "x"], "belongs to --phase score"),
        (["--phase", "train", "--image_dir", "x"], "belongs to --phase demo"),
        (["--phase", "demo", "--batch_size", "3"], "belongs to --phase train and --phase eval"),
        (["--phase", "train", "--eval_samples", "3"], "--phase synth"),
        (["--phase", "synth", "--resume", "last"], "--phase synth does not use it"),
        (["--phase", "demo", "--stream", "3"], "--phase train"),
        (["--phase", "train", "--stream", "3", "--data_dir", "x"], "leave one of them out"),
        (["--phase", "train", "--stream", "3", "--dataset", "RHD"], "--dataset: this run generates"),
        (["--phase", "train", "--model", "cmr_mobile"], "--img_mean 0 --img_std 1"),
        (["--phase", "train", "--model", "cmr_mobile", "--att", "true"], "--att is for the paper's networks"),
        (["--phase", "train", "--trunk_steps", "5"], "cmr_g has none"),
        (["--phase", "train", "--hand", "left"], "with --stream"),
        (["--phase", "train", "--stream", "3", "--makers", "4"], "with --cache"),
        (["--phase", "eval", "--skins", "x"], "--phase synth"),
        (["--phase", "synth", "--hand_px", "90", "80"], "smaller size first"),
        (["--dataset", "FreiHAND", "Faces"], "Faces: expected some of FreiHAND"),
        (["--dataset", "RHD", "RHD:2"], "each once"),
        (["--dataset", "RHD:0"], "share above 0"),
        (["--dataset", "RHD:much"], "share above 0"),
        (["--phase", "train", "--weights_only"], "needs --resume FILE"),
        (["--model", "cmr_mobile", "--backbone", "ResNet50"], "has its own"),
        (["--phase", "train", "--compile", "recorded"], "eval and demo"),
        (["--phase", "train", "--resume", "y.pt"], "no such checkpoint"),
        (["--phase", "eval", "--out_dir", "nowhere"], "train one"),
    ],
)
def test_contradictions_say_what_to_do(arguments, message):
    with pytest.raises(InputError, match=message):
        parse_options(arguments)


@pytest.mark.parametrize(
    "arguments",
    [["--no_such_option"], ["--phase", "fly"], ["--att", "perhaps"], ["--exp", "x"], ["--seq_length", "9", "9"]],
)
def test_unknown_options_and_values_leave_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        parse_options(arguments)
    assert error.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_several_datasets_lie_beside_each_other():
    options = parse_options(["--dataset", "FreiHAND:3", "Keypoints", "--data_dir", "d", "--exp_name", "x"])
    assert options.shares == {"FreiHAND": 3, "Keypoints": 1}
    assert options.data_folder("Keypoints") == Path("d/Keypoints")
    assert options.run_dir.parts[-2:] == ("FreiHAND+Keypoints", "x")
    assert parse_options(["--data_dir", "d"]).data_root == Path("d")


def test_help_is_grouped_and_states_every_default(capsys):
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n{title}:\n" in text for title in ("run", "data", "model", "training and evaluation"))
    flat = " ".join(text.split())
    for name, item in OPTIONS.items():
        assert f"--{name}" in text
        if isinstance(item.default, (int, float)):
            assert str(item.default) in flat


def test_generator_options_are_taken_where_they_belong():
    assert parse_options(["--phase", "synth", "--hand", "left"]).data_root == ROOT / "data/Synthetic"
    assert parse_options(["--phase", "train", "--stream", "9", "--skins", "x"]).stream == 9
    assert parse_options(["--phase", "train", "--resume", "x.pt", "--hand", "left"]).hand == "left"


def resumed(stored, *arguments, phase="train", continued=True):
    return with_stored(
        parse_options(["--phase", phase, "--resume", "x.pt", *arguments]), stored, NETWORK, "x.pt", continued
    )


def test_command_line_comes_before_checkpoint_before_default():
    stored = {"lr": 3e-4, "epochs": 5, "size": 64, "max_steps": 7, "save_steps": 9, "seq_length": [9, 9, 9, 9]}
    options = resumed(stored, "--lr", "1e-5")
    assert (options.lr, options.epochs, options.size, options.weight_decay) == (1e-5, 5, 64, 0)
    assert options.max_steps == 7  # the cosine schedule ends there
    assert options.save_steps == 1000  # belongs to a call
    assert options.seq_length == (9, 9, 9, 9)
    assert resumed(stored, continued=False).epochs == 5  # trained on as it was, from the first step
    options = resumed(stored, "--weights_only", continued=False)
    assert (options.size, options.epochs) == (64, 38)
    options = resumed(stored | {"batch_size": 4}, phase="eval", continued=False)
    assert (options.size, options.batch_size) == (64, 32)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--imagenet", "none"],
        ["--stream", "9"],
        ["--seed", "3", "--batch_size", "8"],
        ["--cache", "pool", "--makers", "4"],
        ["--model", "cmr_g"],
    ],
)
def test_a_command_can_be_repeated(arguments):
    pool = parse_options(["--stream", "9", "--cache", "pool"]).cache
    stored = {"imagenet": "none", "stream": 9, "seed": 3, "batch_size": 8, "cache": pool}
    assert resumed(stored, *arguments).pool_dir is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--imagenet", "none"], "holds imagenet auto"),
        (["--stream", "8"], "holds stream 9"),
        (["--seed", "2"], "holds seed 3"),
        (["--batch_size", "4"], "holds batch_size 32"),
        (["--model", "cmr_pg"], "holds model cmr_g"),
        (["--cache", "pool"], "holds cache auto"),
        (["--data_dir", "x"], "generates its images"),
    ],
)
def test_what_cannot_change_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        resumed({"stream": 9, "seed": 3}, *arguments)


def test_weights_to_start_from_and_new_ones_are_a_contradiction():
    with pytest.raises(InputError, match="leave one of them out"):
        resumed({}, "--imagenet", "none", continued=False)


@pytest.mark.parametrize("stored", [{"size": 100}, {"size": "big"}, {"seq_length": [9, 9]}, {"lr": True}])
def test_stored_values_are_checked_and_their_file_is_named(stored):
    with pytest.raises(InputError, match="x.pt: --"):
        resumed(stored)


def test_a_device_that_is_not_there_is_an_input_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert select_device(Options(device="auto")).type == "cpu"
    with pytest.raises(InputError, match="--device cpu"):
        select_device(Options(device="cuda"))
