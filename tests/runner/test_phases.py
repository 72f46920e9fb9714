"""Train, evaluate, score and demo, as a user runs them: one small network, rendered FreiHAND, whole processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import pytest
import torch
import trimesh

from handmesh.errors import InputError, TrainingDivergedError
from handmesh.geometry import project
from options import parse_options
from runner import load_predictor
from runner.score import read_prediction
from runner.train import train
from tests.conftest import SMALL_WIDTHS
from tests.rendered_freihand import place_hand, render
from utils.template import ROOT

SMALL = ["--size", "64", "--out_channels", *map(str, SMALL_WIDTHS), "--imagenet", "none"]
COMMON = ["--device", "cpu", "--n_threads", "1", "--workers", "0"]


def command(phase, data, out, *arguments):
    return [
        sys.executable, str(ROOT / "run.py"), "--phase", phase, "--data_dir", str(data), "--out_dir", str(out),
        *COMMON, *arguments,
    ]  # fmt: skip


def run(phase, data, out, *arguments, status=0):
    called = command(phase, data, out, *arguments)
    result = subprocess.run(called, capture_output=True, text=True, check=False, timeout=180)
    assert result.returncode == status, result.stderr[-2000:]
    return result


def training(*arguments):
    return [*SMALL, "--batch_size", "4", "--epochs", "3", "--log_steps", "1", "--save_steps", "2", *arguments]


def weights(out, name="cmr"):
    return torch.load(out / "FreiHAND" / name / "checkpoints/checkpoint_last.pt", weights_only=True)


def assert_same_training(first, second):
    assert first["step"] == second["step"]
    for key, value in first["model_state_dict"].items():
        assert torch.equal(value, second["model_state_dict"][key]), key
    for index, state in first["optimizer_state_dict"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, second["optimizer_state_dict"]["state"][index][name])


@pytest.fixture(scope="module")
def trained(rendered_freihand, tmp_path_factory):
    """An uninterrupted run of 12 steps, three epochs of four."""
    out = tmp_path_factory.mktemp("trained")
    run("train", rendered_freihand, out, *training())
    return out


def test_training_leaves_checkpoint_options_log_and_board(trained):
    folder = trained / "FreiHAND/cmr"
    checkpoint = weights(trained)
    assert (checkpoint["epoch"], checkpoint["step"]) == (3, 12)
    assert json.loads((folder / "options.json").read_text()) == checkpoint["options"]
    log = (folder / "train.log").read_text()
    assert log.count("samples/s") == 12
    assert "lr 1.00e-04" in log
    assert any(file.name.startswith("events.") for file in (folder / "board").iterdir())
    assert not list(folder.rglob("*.tmp"))
    losses = [float(line.split(" loss ")[1].split(",")[0]) for line in log.splitlines() if " loss " in line]
    assert losses[-1] < 0.9 * losses[0]


def test_killed_and_resumed_equals_uninterrupted(trained, rendered_freihand, tmp_path):
    process = subprocess.Popen(command("train", rendered_freihand, tmp_path, *training()), stderr=subprocess.DEVNULL)
    path = tmp_path / "FreiHAND/cmr/checkpoints/checkpoint_last.pt"
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < weights(tmp_path)["step"] < 12
    resumed = [argument for argument in training() if argument not in ("--imagenet", "none")]
    run("train", rendered_freihand, tmp_path, *resumed, "--resume", "last")
    assert_same_training(weights(trained), weights(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process_group_saves_before_leaving(number, rendered_freihand, tmp_path):
    arguments = training("--save_steps", "1000", "--epochs", "500", "--workers", "1")
    process = subprocess.Popen(
        command("train", rendered_freihand, tmp_path, *arguments),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if "step 2:" in line:
            break
    os.killpg(process.pid, number)
    process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert weights(tmp_path)["step"] >= 2


def test_a_run_is_not_overwritten(trained, rendered_freihand):
    result = run("train", rendered_freihand, trained, *training(), status=2)
    assert "--resume last" in result.stderr


def test_resuming_on_other_data_or_as_another_network_is_refused(trained, rendered_freihand, tmp_path):
    path = str(trained / "FreiHAND/cmr/checkpoints/checkpoint_last.pt")
    result = run("train", rendered_freihand, tmp_path, "--resume", path, "--model", "cmr_pg", status=2)
    assert "holds model cmr_g" in result.stderr
    content = weights(trained)
    content["num_samples"] = 99
    torch.save(content, tmp_path / "other.pt")
    result = run("train", rendered_freihand, tmp_path, "--resume", str(tmp_path / "other.pt"), status=2)
    assert "99 samples" in result.stderr


def test_resuming_keeps_the_runs_options_and_applies_changed_ones(trained, rendered_freihand, tmp_path):
    path = tmp_path / "FreiHAND/cmr/checkpoints/checkpoint_last.pt"
    path.parent.mkdir(parents=True)
    shutil.copy(trained / "FreiHAND/cmr/checkpoints/checkpoint_last.pt", path)
    result = run("train", rendered_freihand, tmp_path, "--resume", "last", "--epochs", "4", "--lr", "1e-7")
    assert "--lr was 0.0001 and is now 1e-07" in result.stderr
    resumed = weights(tmp_path)
    assert resumed["step"] == 16
    assert resumed["optimizer_state_dict"]["param_groups"][0]["lr"] == 1e-7
    assert resumed["options"]["batch_size"] == 4
    assert resumed["options"]["size"] == 64
    difference = [
        (resumed["model_state_dict"][key] - value).abs().max()
        for key, value in weights(trained)["model_state_dict"].items()
        if key.endswith("weight")
    ]
    assert 0 < max(difference) < 1e-5
    result = run("train", rendered_freihand, tmp_path, "--resume", "last", "--batch_size", "2", status=2)
    assert "holds batch_size 4" in result.stderr


def test_weights_without_training_state_start_a_new_run(trained, rendered_freihand, tmp_path):
    content = {"epoch": 37, "model_state_dict": weights(trained)["model_state_dict"]}
    torch.save(content, tmp_path / "released.pt")
    arguments = ["--resume", str(tmp_path / "released.pt"), "--size", "64", "--batch_size", "4", "--max_steps", "1"]
    result = run("train", rendered_freihand, tmp_path, *arguments)
    assert "new run from the weights of" in result.stderr
    assert weights(tmp_path)["step"] == 1
    result = run("train", rendered_freihand, tmp_path, *arguments, status=2)
    assert "exists" in result.stderr


def test_a_loss_that_is_not_finite_stops_with_a_report(rendered_freihand, tmp_path):
    arguments = command("train", rendered_freihand, tmp_path, *training("--lr", "1e30"))[2:]
    with pytest.raises(TrainingDivergedError, match=r"step \d+: the loss is not finite"):
        train(parse_options(arguments))


def test_a_broken_image_is_named_by_the_worker(rendered_freihand, tmp_path):
    data = shutil.copytree(rendered_freihand, tmp_path / "data")
    for image in (data / "training/rgb").iterdir():
        image.write_bytes(b"nothing")
    result = run("train", data, tmp_path, *training("--workers", "1"), status=2)
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "cannot be decoded" in error


def test_evaluation_writes_the_challenge_files_and_the_score(trained, rendered_freihand):
    result = run("eval", rendered_freihand, trained, "--batch_size", "2")
    folder = trained / "FreiHAND/cmr"
    xyz, vertices = json.loads((folder / "cmr.json").read_text())
    assert np.shape(xyz) == (5, 21, 3)
    assert np.shape(vertices) == (5, 750, 3)
    with zipfile.ZipFile(folder / "cmr.zip") as archive:
        assert json.loads(archive.read("pred.json")) == [xyz, vertices]
    lines = (folder / "scores.txt").read_text().splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("xyz_mean3d: ")
    assert lines[0] in result.stdout
    assert "CS-MPJPE" in result.stdout
    assert len((folder / "joint_errors.txt").read_text().splitlines()) == 2 + 21 + 3
    assert cv2.imread(str(folder / "pck.png")).shape[2] == 3


def test_batch_size_does_not_change_the_evaluation(trained, rendered_freihand, tmp_path):
    checkpoint = str(trained / "FreiHAND/cmr/checkpoints/checkpoint_last.pt")
    predictions = []
    for size in ("1", "5"):
        run("eval", rendered_freihand, tmp_path / size, "--batch_size", size, "--resume", checkpoint)
        predictions.append(json.loads((tmp_path / size / "FreiHAND/cmr/cmr.json").read_text())[1])
    np.testing.assert_allclose(*predictions, atol=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_score_of_an_existing_prediction(packed, rendered_freihand, tmp_path):
    truth = [json.loads((rendered_freihand / f"evaluation_{name}.json").read_text()) for name in ("xyz", "verts")]
    shifted = [(np.array(part) + np.array([0.03, 0, 0.04])).tolist() for part in truth]
    path = tmp_path / "prediction.json"
    path.write_text(json.dumps(shifted))
    if packed:
        with zipfile.ZipFile(tmp_path / "prediction.zip", "w") as archive:
            archive.write(path, "pred.json")
            archive.writestr("__MACOSX/._pred.json", "added by an archiver")
        path = tmp_path / "prediction.zip"
    arguments = [sys.executable, str(ROOT / "run.py"), "--phase", "score", "--pred", str(path)]
    arguments += ["--gt", str(rendered_freihand), "--out_dir", str(tmp_path / "out")]
    subprocess.run(arguments, check=True, capture_output=True)
    scores = dict(line.split(": ") for line in (tmp_path / "out/scores.txt").read_text().splitlines())
    assert scores["xyz_mean3d"] == "5.000000"
    assert scores["mesh_al_mean3d"] == "0.000000"
    assert float(scores["f_al_score_5"]) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1, 2]",
        "[[], []]",
        '{"a": 1}',
        "[[[[1, 2, 3]]], [[[1, 2]]]]",
        f"[[{[[[float('nan')] * 3] * 21]}], [[[1]]]]",
    ],
)
def test_predictions_that_are_none_are_named(content, tmp_path):
    for name in ("pred.json", "pred.zip"):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=name):
            read_prediction(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pred.json", json.dumps(list(range(1000))))
    whole = bytearray((tmp_path / "damaged.zip").read_bytes())
    whole[60:90] = bytes(30)
    (tmp_path / "damaged.zip").write_bytes(whole)
    with pytest.raises(InputError, match="damaged.zip"):
        read_prediction(tmp_path / "damaged.zip")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.json", "1")
        archive.writestr("b.json", "2")
    with pytest.raises(InputError, match="expected one"):
        read_prediction(tmp_path / "two.zip")


@pytest.fixture
def photos(tmp_path, template, rng):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, suffix in (("one_img", ".jpg"), ("two", ".png"), ("three", ".webp")):
        vertices, K = place_hand(template, rng)
        image, _ = render(vertices, K, template, rng)
        cv2.imwrite(str(folder / f"{name}{suffix}"), image[..., ::-1])
        if name == "two":
            (folder / "two_K.json").write_text(json.dumps({"K": K.tolist()}))
        else:
            np.save(folder / f"{name.removesuffix('_img')}_K.npy", K)
    return folder


def demo(trained, folder, out, status):
    checkpoint = trained / "FreiHAND/cmr/checkpoints/checkpoint_last.pt"
    arguments = ["--image_dir", str(folder), "--out_dir", str(out), "--resume", str(checkpoint), *COMMON]
    result = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--phase", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status, result.stderr
    return result


def test_demo_writes_mesh_and_plot_of_every_image(trained, photos, tmp_path, template):
    demo(trained, photos, tmp_path / "out", status=0)
    kinds = ("mesh.ply", "plot.jpg", "hands.json")
    expected = {f"{name}_{kind}" for name in ("one", "two", "three") for kind in kinds}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*expected, "index.html"}
    mesh = trimesh.load(tmp_path / "out/two_mesh.ply", process=False)
    assert len(mesh.vertices) == 750
    np.testing.assert_array_equal(mesh.faces, template.faces[0])
    (hand,) = json.loads((tmp_path / "out/two_hands.json").read_text())["hands"]
    assert hand["side"] == "right"
    assert hand["K_from"] == "file"
    np.testing.assert_allclose(template.joint_regressor @ mesh.vertices, hand["joints_m"], atol=1e-4)


def test_demo_reports_bad_images_and_goes_on(trained, photos, tmp_path):
    (photos / "text.jpg").write_text("not a picture")
    np.save(photos / "text_K.npy", np.eye(3))
    cv2.imwrite(str(photos / "nowhere.png"), np.zeros((50, 50, 3), np.uint8))
    for name, K in (("shape", np.eye(4)), ("zero", np.diag([0.0, 1, 1])), ("nan", np.full((3, 3), np.nan))):
        cv2.imwrite(str(photos / f"{name}.png"), np.zeros((50, 50, 3), np.uint8))
        np.save(photos / f"{name}_K.npy", K)
    cv2.imwrite(str(photos / "tiny.png"), np.zeros((1, 1, 3), np.uint8))
    np.save(photos / "tiny_K.npy", np.eye(3))
    for name, content in (("packed_K.npy", b"PK\x03\x04"), ("digits_K.json", b"[[" + b"9" * 5000 + b"]]")):
        cv2.imwrite(str(photos / f"{name.partition('_')[0]}.png"), np.zeros((50, 50, 3), np.uint8))
        (photos / name).write_bytes(content)
    result = demo(trained, photos, tmp_path / "out", status=1)
    skipped = [line for line in result.stderr.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 7
    for name in (
        "text.jpg",
        "shape_K.npy",
        "zero_K.npy",
        "nan_K.npy",
        "tiny.png",
        "packed_K.npy",
        "digits_K.json",
    ):
        assert any(name in line for line in skipped), name
    page = (tmp_path / "out/index.html").read_text()
    assert page.count("skipped: ") == 7
    results = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(results) == 4 * 3 + 1  # the three photos, and nowhere.png with a guessed field of view
    assert "focal length guessed" in result.stdout


def test_demo_of_nothing_is_an_error(trained, tmp_path):
    assert "no image in it" in demo(trained, tmp_path, tmp_path / "out", status=2).stderr
    assert "no such folder" in demo(trained, tmp_path / "nowhere", tmp_path / "out", status=2).stderr


def test_six_lines_of_python(trained, photos, template):
    predictor = load_predictor(trained / "FreiHAND/cmr/checkpoints/checkpoint_last.pt")
    image = cv2.imread(str(photos / "two.png"), cv2.IMREAD_COLOR_RGB)
    K = np.array(json.loads((photos / "two_K.json").read_text())["K"])
    hands = predictor(image, K)
    assert hands.vertices_m.shape == (1, 750, 3)
    np.testing.assert_allclose(template.joint_regressor @ hands.vertices_m[0], hands.joints_m[0], atol=1e-9)
    crop, crop_K = predictor.fit(image, K)
    assert crop.shape == (64, 64, 3)
    np.testing.assert_allclose(project(hands.joints_m, crop_K)[0], project(hands.joints_m, K)[0] * 64 / 224, atol=1)


def test_scripts_use_the_given_interpreter_and_pass_arguments_on(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable}
    for script, phase in (
        ("train_freihand", "training_K.json"),
        ("eval_freihand", "checkpoint"),
        ("demo", "no such folder"),
    ):
        result = subprocess.run(
            [ROOT / f"scripts/{script}.sh", "--out_dir", tmp_path / "out",
             *(["--image_dir", tmp_path / "nowhere"] if script == "demo" else ["--data_dir", tmp_path / "nowhere"]),
             *(["--imagenet", "none"] if script == "train_freihand" else [])],
            capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
        )  # fmt: skip
        assert result.returncode == 2
        assert phase in result.stderr
