"""What people give by mistake: each comes back as a line that names the file or the option, and nothing is written."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
import torch

import run as program
from options.checks import WORKERS_PER_CORE
from tests.runner.conftest import SMALL

TOO_MANY = str(WORKERS_PER_CORE * os.cpu_count() + 1)


def edited(name, change):
    """Changes the rows of a JSON file of the data."""

    def edit(data):
        rows = json.loads((data / name).read_text())
        change(rows)
        (data / name).write_text(json.dumps(rows))

    return edit


def cut(name):
    return lambda data: (data / name).write_bytes((data / name).read_bytes()[:-100])


def removed(name):
    return lambda data: (data / name).unlink()


def written(name, text):
    return lambda data: (data / name).write_text(text)


def predicted(change=lambda rows: rows, name="pred.json"):
    """Writes a prediction: the ground truth, changed."""

    def write(data):
        parts = [json.loads((data / f"evaluation_{part}.json").read_text()) for part in ("xyz", "verts")]
        (data / name).write_text(json.dumps(change(parts)))

    return write


def point(value):
    """A prediction with one coordinate changed, of entry 3."""

    def change(parts):
        parts[0][3][2][1] = value
        return parts

    return predicted(change)


def saved(name, content):
    return lambda data: torch.save(content, data / name)


def millimetres(rows):
    rows[:] = (1000 * np.array(rows)).tolist()


def two_members(data):
    with zipfile.ZipFile(data / "two.zip", "w") as archive:
        archive.writestr("a.json", "1")
        archive.writestr("b.json", "2")


def pointing_nowhere(parts):
    return [parts[0], [[[0.0, 0.0]]]]


def nothing(data):
    """Leaves the data as it is."""


# Phase, what happens to the data, further arguments with DATA for its folder, words of the message.
CASES = [
    ("train", nothing, ["--data_dir", "DATA/nowhere"], "nowhere/training/rgb: no such folder"),
    ("train", nothing, ["--data_dir", "DATA/none", "--imagenet", "DATA/w.pth"], "none/training/rgb: no such folder"),
    ("train", removed("training_K.json"), [], "training_K.json: no such file"),
    ("train", cut("training_xyz.json"), [], "training_xyz.json: not valid JSON"),
    ("train", edited("training_xyz.json", lambda rows: rows[2][0].__setitem__(0, "0.1")), [], "entry 2 holds text"),
    (
        "train",
        edited("training_K.json", lambda rows: rows[1][0].__setitem__(1, False)),
        [],
        "entry 1 holds text, or true",
    ),
    ("train", edited("training_K.json", lambda rows: rows.pop()), [], "lists of different length"),
    ("train", edited("training_verts.json", lambda rows: [row.pop() for row in rows]), [], "meshes of 749 vertices"),
    ("train", removed("training/mask/00000004.jpg"), [], "00000004.jpg: no such file"),
    ("train", nothing, ["--max_steps", "0"], "--max_steps 0: expected a number of at least 1, or leave the option out"),
    ("train", nothing, ["--workers", TOO_MANY], f"--workers {TOO_MANY}: expected at most"),
    ("train", nothing, ["--lr", "nan"], "--lr nan: expected a number from 0"),
    ("train", nothing, ["--out_dir", ""], "--out_dir is empty"),
    ("train", nothing, ["--data_dir", ""], "--data_dir is empty"),
    ("train", nothing, ["--resume", ""], "--resume is empty"),
    ("train", nothing, ["--cache", ""], "--cache is empty"),
    ("train", nothing, ["--template", ""], "--template is empty"),
    ("train", nothing, ["--exp_name", "n" * 240], "--exp_name: 240 bytes long, expected at most 200"),
    ("train", nothing, ["--exp_name", "a/b"], "--exp_name a/b: expected a name without slashes"),
    ("train", nothing, ["--out_dir", "DATA/training_K.json"], "training_K.json/FreiHAND/cmr: cannot write here"),
    (
        "train",
        nothing,
        ["--resume", "DATA/nowhere.pt"],
        "nowhere.pt: no such checkpoint; train one, or name a file with",
    ),
    ("train", nothing, ["--resume", "DATA/training_K.json"], "training_K.json: cannot be read as weights"),
    ("train", nothing, ["--resume", "last"], "checkpoint_last.pt: no such checkpoint"),
    ("train", nothing, ["--weights_only"], "--weights_only needs --resume FILE"),
    ("train", nothing, ["--template", "DATA/nowhere"], "nowhere: no such template"),
    ("train", nothing, ["--template", "DATA/training_K.json"], "expected a folder, a .ply or .obj mesh"),
    ("train", nothing, ["--imagenet", "DATA/nowhere.pth"], "nowhere.pth: no such file"),
    ("train", saved("w.pth", {"a": torch.ones(2)}), ["--imagenet", "DATA/w.pth"], "w.pth"),
    ("train", nothing, ["--cache", "DATA/training"], "training: holds something else"),
    ("train", nothing, ["--stream", "9", "--data_dir", "DATA"], "leave one of them out"),
    ("train", nothing, ["--seq_length", "2", "9", "9", "9"], "--seq_length 2: expected a number from 3"),
    ("eval", nothing, [], "checkpoint_last.pt: no such checkpoint; train one, or name a file with --resume"),
    ("eval", nothing, ["--resume", "DATA/evaluation_K.json"], "evaluation_K.json: cannot be read as weights"),
    ("eval", written("n.onnx", "no network"), ["--resume", "DATA/n.onnx"], "n.onnx"),
    ("eval", saved("w.pt", {"a": torch.ones(2)}), ["--resume", "DATA/w.pt"], "w.pt: its weights are of none of the"),
    ("eval", nothing, ["--resume", "WEIGHTS", "--data_dir", "DATA/nowhere"], "evaluation_K.json: no such file"),
    ("eval", removed("evaluation/rgb/00000002.jpg"), ["--resume", "WEIGHTS"], "00000002.jpg: no such file"),
    ("eval", written("evaluation/rgb/00000002.jpg", "x"), ["--resume", "WEIGHTS"], "00000002.jpg"),
    ("eval", edited("evaluation_xyz.json", millimetres), ["--resume", "WEIGHTS"], "in millimetres? Expected metres"),
    ("eval", edited("evaluation_xyz.json", lambda rows: rows.pop()), ["--resume", "WEIGHTS"], "different length"),
    ("eval", nothing, ["--resume", "WEIGHTS", "--batch_size", "0"], "--batch_size 0: expected a number from 1"),
    ("export", nothing, [], "checkpoint_last.pt: no such checkpoint"),
    ("export", nothing, ["--resume", "DATA"], "no such checkpoint"),
    (
        "export",
        nothing,
        ["--resume", "WEIGHTS", "--out_dir", "DATA/training_K.json"],
        "training_K.json: cannot write here",
    ),
    ("export", nothing, ["--resume", "WEIGHTS", "--template", "DATA/nowhere"], "nowhere: no such template"),
    ("score", nothing, ["--gt", "DATA"], "--phase score needs --pred"),
    ("score", nothing, ["--gt", "DATA", "--pred", "DATA/nowhere.json"], "nowhere.json: no such file"),
    ("score", nothing, ["--gt", "DATA", "--pred", "DATA/nowhere.zip"], "nowhere.zip: no such file"),
    ("score", nothing, ["--gt", "DATA", "--pred", "DATA"], "cannot be read"),
    ("score", predicted(), ["--gt", "DATA/nowhere", "--pred", "DATA/pred.json"], "evaluation_xyz.json: no such file"),
    (
        "score",
        predicted(lambda parts: 3),
        ["--gt", "DATA", "--pred", "DATA/pred.json"],
        "pred.json: expected [xyz, verts]",
    ),
    ("score", predicted(lambda parts: parts[1::-1]), ["--gt", "DATA", "--pred", "DATA/pred.json"], "750 x 3 matrices"),
    ("score", point(1e308), ["--gt", "DATA", "--pred", "DATA/pred.json"], "entry 3 is a hand 1e+308 m away"),
    (
        "score",
        point(180),
        ["--gt", "DATA", "--pred", "DATA/pred.json"],
        "entry 3 is a hand 180 m away: in millimetres?",
    ),
    ("score", point("0.1"), ["--gt", "DATA", "--pred", "DATA/pred.json"], "pred.json: entry 3 holds text"),
    ("score", point(True), ["--gt", "DATA", "--pred", "DATA/pred.json"], "pred.json: entry 3 holds text, or true"),
    ("score", point(None), ["--gt", "DATA", "--pred", "DATA/pred.json"], "pred.json: entry 3 is not finite"),
    ("score", predicted(pointing_nowhere), ["--gt", "DATA", "--pred", "DATA/pred.json"], "holds 1 x 2 matrices"),
    (
        "score",
        predicted(lambda parts: [part[:3] for part in parts]),
        ["--gt", "DATA", "--pred", "DATA/pred.json"],
        "pred.json: 3 joint and 3 mesh predictions for 5 joint",
    ),
    (
        "score",
        predicted(lambda parts: [(1000 * np.array(part)).tolist() for part in parts]),
        ["--gt", "DATA", "--pred", "DATA/pred.json"],
        "in millimetres? Expected metres",
    ),
    (
        "score",
        edited("evaluation_verts.json", millimetres),
        ["--gt", "DATA", "--pred", "x"],
        "evaluation_verts.json: hands",
    ),
    ("score", two_members, ["--gt", "DATA", "--pred", "DATA/two.zip"], "two.zip: holds 2 .json files"),
    ("score", written("n.ZIP", "text"), ["--gt", "DATA", "--pred", "DATA/n.ZIP"], "n.ZIP: cannot be read as a zip"),
    (
        "score",
        predicted(),
        ["--gt", "DATA", "--pred", "DATA/pred.json", "--out_dir", "DATA/pred.json"],
        "pred.json: cannot write here",
    ),
    ("synth", nothing, ["--data_dir", "DATA"], "holds other data: choose another --data_dir"),
    ("synth", nothing, ["--data_dir", "DATA/training_K.json"], "training_K.json"),
    ("synth", nothing, ["--skins", "DATA/nowhere"], "nowhere: "),
    ("synth", nothing, ["--hdri", "DATA/evaluation"], "evaluation"),
    ("synth", nothing, ["--backgrounds", "DATA/evaluation"], "evaluation"),
    ("synth", nothing, ["--train_samples", "-1"], "--train_samples -1: expected a number from 0"),
    ("synth", nothing, ["--hand_px", "90", "80"], "--hand_px: expected the smaller size first"),
    ("synth", nothing, ["--workers", TOO_MANY], f"--workers {TOO_MANY}: expected at most"),
    ("synth", nothing, ["--skins", ""], "--skins is empty"),
]


@pytest.fixture(scope="module")
def small_weights(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.save({"model_state_dict": small_model.state_dict(), "options": {"size": 64}}, path)
    return path


def command_line(phase, arguments, data, out, small_weights):
    """The whole command line: what the phase needs, then the arguments, which come after and so count."""
    needed = {
        "train": ["--data_dir", str(data), "--out_dir", str(out), *SMALL, "--epochs", "1", "--batch_size", "4"],
        "eval": ["--data_dir", str(data), "--out_dir", str(out)],
        "export": ["--out_dir", str(out), "--exp_name", "never_trained"],
        "score": ["--out_dir", str(out)],
        "synth": ["--data_dir", str(out), "--train_samples", "2", "--eval_samples", "0"],
    }[phase]
    if "--stream" in arguments or "--imagenet" in arguments or "--resume" in arguments:
        needed = [one for one in needed if one not in ("--imagenet", "none")]
    arguments = [one.replace("DATA", str(data)).replace("WEIGHTS", str(small_weights)) for one in arguments]
    return ["--phase", phase, *needed, *([] if phase == "score" else ["--workers", "0"]), *arguments]


@pytest.mark.parametrize(("phase", "change", "arguments", "message"), CASES)
def test_a_mistake_is_named(
    phase, change, arguments, message, rendered_freihand, small_weights, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    data, out = shutil.copytree(rendered_freihand, tmp_path / "data"), tmp_path / "out"
    change(data)
    assert program.main(command_line(phase, arguments, data, out, small_weights)) == 2
    printed = capfd.readouterr().err
    error = printed.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in printed
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {".lock"}
