"""Train, evaluate, score and demo: one small network and rendered FreiHAND. Processes where they are what is tested."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import cv2
import numpy as np
import pytest
import torch
import trimesh

import run as program
from datasets.freihand import FreiHANDEvaluation
from handmesh import SHIPPED, load
from handmesh.errors import InputError
from runner.score_files import read_prediction
from tests.rendered_freihand import place_hand, render
from tests.runner.conftest import COMMON, LAST, command, training, weights
from utils.template import ROOT


def start(*arguments, **settings):
    return subprocess.Popen([sys.executable, str(ROOT / "run.py"), *arguments], **settings)


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
    assert program.main(command("train", rendered_freihand, out, *training())) == 0
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


def test_killed_and_resumed_equals_uninterrupted(trained, rendered_freihand, tmp_path, run):
    process = start(*command("train", rendered_freihand, tmp_path, *training()), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 0 < weights(tmp_path)["step"] < 12
    run("train", rendered_freihand, tmp_path, *training(), "--resume", "last")
    assert_same_training(weights(trained), weights(tmp_path))


def test_a_run_is_alone_in_its_folder_and_saves_before_a_signal_ends_it(rendered_freihand, tmp_path, run, monkeypatch):
    monkeypatch.setattr("runner.train.LOCK_SECONDS", 0.1)
    arguments = training("--save_steps", "1000", "--epochs", "500", "--workers", "1")
    process = start(
        *command("train", rendered_freihand, tmp_path, *arguments),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if "step 2:" in line:
            break
    assert "another training" in run("train", rendered_freihand, tmp_path, *arguments, status=2)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert weights(tmp_path)["step"] >= 2


def test_ctrl_c_saves_before_leaving(rendered_freihand, tmp_path, run):
    log = tmp_path / "FreiHAND/cmr/train.log"

    def interrupt():
        while not (log.is_file() and "step 2:" in log.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(SystemExit) as left:
        run("train", rendered_freihand, tmp_path, *training("--epochs", "500", "--save_steps", "1000"))
    assert left.value.code == 130
    assert weights(tmp_path)["step"] >= 2


def test_ctrl_c_while_modules_load_leaves_quietly():
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", str(ROOT / "run.py"), "--phase", "train"],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "numpy" in line:  # PyTorch is still to come
            break
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in printed


def test_a_run_is_not_overwritten(trained, rendered_freihand, run):
    assert "--resume last" in run("train", rendered_freihand, trained, *training(), status=2)


def test_resuming_on_other_data_or_as_another_network_is_refused(trained, rendered_freihand, tmp_path, run):
    resume = ["--resume", str(trained / LAST)]
    assert "holds model cmr_g" in run("train", rendered_freihand, tmp_path, *resume, "--model", "cmr_pg", status=2)
    assert "holds batch_size 4" in run("train", rendered_freihand, tmp_path, *resume, "--batch_size", "2", status=2)
    content = weights(trained)
    torch.save({**content, "num_samples": 99}, tmp_path / "other.pt")
    resume = ["--resume", str(tmp_path / "other.pt")]
    assert "99 samples" in run("train", rendered_freihand, tmp_path, *resume, status=2)


def test_resuming_keeps_the_runs_options_and_applies_changed_ones(trained, rendered_freihand, tmp_path, run):
    path = tmp_path / LAST
    path.parent.mkdir(parents=True)
    shutil.copy(trained / LAST, path)
    printed = run("train", rendered_freihand, tmp_path, "--resume", "last", "--epochs", "4", "--lr", "1e-7")
    assert "--lr was 0.0001 and is now 1e-07" in printed
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


def test_weights_without_training_state_start_a_new_run(trained, rendered_freihand, tmp_path, run):
    content = {"epoch": 37, "model_state_dict": weights(trained)["model_state_dict"]}
    torch.save(content, tmp_path / "released.pt")
    arguments = ["--resume", str(tmp_path / "released.pt"), "--size", "64", "--batch_size", "4", "--max_steps", "1"]
    assert "new run from the weights of" in run("train", rendered_freihand, tmp_path, *arguments)
    assert weights(tmp_path)["step"] == 1
    assert "exists" in run("train", rendered_freihand, tmp_path, *arguments, status=2)


def test_a_loss_that_is_not_finite_stops_with_a_report(rendered_freihand, tmp_path, run):
    printed = run("train", rendered_freihand, tmp_path, *training("--lr", "1e30"), status=1)
    report = printed.strip().splitlines()[-1]
    assert report.startswith("error: step ")
    assert "the loss is not finite" in report
    assert "smaller --lr" in report


def test_a_broken_image_is_named_by_the_worker(rendered_freihand, tmp_path, run):
    data = shutil.copytree(rendered_freihand, tmp_path / "data")
    for image in (data / "training/rgb").iterdir():
        image.write_bytes(b"nothing")
    printed = run("train", data, tmp_path, *training("--workers", "1", "--cache", "none"), status=2)
    error = printed.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "cannot be decoded" in error


def test_evaluation_writes_the_challenge_files_and_the_score(trained, rendered_freihand, run):
    printed = run("eval", rendered_freihand, trained, "--batch_size", "2")
    folder = trained / "FreiHAND/cmr"
    xyz, vertices = json.loads((folder / "cmr.json").read_text())
    assert np.shape(xyz) == (5, 21, 3)
    assert np.shape(vertices) == (5, 750, 3)
    with zipfile.ZipFile(folder / "cmr.zip") as archive:
        assert json.loads(archive.read("pred.json")) == [xyz, vertices]
    lines = (folder / "scores.txt").read_text().splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("xyz_mean3d: ")
    assert lines[0] in printed
    assert "CS-MPJPE" in printed
    assert len((folder / "joint_errors.txt").read_text().splitlines()) == 2 + 21 + 5
    assert cv2.imread(str(folder / "pck.png")).shape[2] == 3


def test_an_exported_network_predicts_the_same_in_batches_of_any_size(trained, rendered_freihand, tmp_path, run):
    arguments = ["--phase", "export", "--resume", str(trained / LAST), "--out_dir", str(tmp_path)]
    assert program.main(arguments) == 0
    predictions = []
    for size, network in (("1", trained / LAST), ("5", tmp_path / "cmr_g_resnet18.onnx")):
        run("eval", rendered_freihand, tmp_path / size, "--batch_size", size, "--resume", str(network))
        predictions.append(json.loads((tmp_path / size / "FreiHAND/cmr/cmr.json").read_text())[1])
    np.testing.assert_allclose(*predictions, atol=1e-4)


def test_a_network_for_photos_is_evaluated_as_on_photos(rendered_freihand, tmp_path, run):
    run("eval", rendered_freihand, tmp_path, "--resume", str(SHIPPED))
    (written,) = tmp_path.glob("FreiHAND/cmr/cmr.json")
    xyz = json.loads(written.read_text())[0]
    find, data = load(), FreiHANDEvaluation(rendered_freihand)
    for index, joints in enumerate(xyz):
        image, K = data.photo(index)
        found = find(image, K, hand="right") or find(image, K, hand="right", detect="never")
        assert any(np.allclose(hand.joints_m, joints, atol=1e-5) for hand in found)


@pytest.mark.parametrize("arguments", [["--inference_precision", "bf16"], ["--compile", "recorded"]])
def test_what_only_a_gpu_can_do_is_refused_on_a_cpu(arguments, trained, rendered_freihand, tmp_path, run):
    resume = ["--resume", str(trained / LAST)]
    assert "is for GPUs" in run("eval", rendered_freihand, tmp_path, *resume, *arguments, status=2)


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
    arguments = ["--phase", "score", "--pred", str(path), "--gt", str(rendered_freihand)]
    assert program.main([*arguments, "--out_dir", str(tmp_path / "out")]) == 0
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
    for name in ("one", "two"):
        vertices, K = place_hand(template, rng)
        image, _ = render(vertices, K, template, rng)
        cv2.imwrite(str(folder / f"{name}.png"), image[..., ::-1])
        np.save(folder / f"{name}_K.npy", K)
    return folder


@pytest.fixture
def demo(trained, capfd):
    """Runs the demo on a folder; returns what it printed on both streams."""

    def call(folder, out, status):
        arguments = ["--image_dir", str(folder), "--out_dir", str(out), "--resume", str(trained / LAST), *COMMON]
        assert program.main(["--phase", "demo", *arguments]) == status
        return "".join(capfd.readouterr())

    yield call
    torch.set_num_threads(2)


def test_demo_finds_the_hands_of_a_checkpoints_network(demo, photos, tmp_path, template):
    demo(photos, tmp_path / "out", status=0)
    for name in ("one", "two"):
        (hand,) = json.loads((tmp_path / f"out/{name}_hands.json").read_text())["hands"]
        assert hand["K_from"] == "file"
        mesh = trimesh.load(tmp_path / f"out/{name}_right.ply", process=False)
        np.testing.assert_array_equal(mesh.faces, template.faces[0])
        np.testing.assert_allclose(template.joint_regressor @ mesh.vertices, hand["joints_m"], atol=1e-4)
    (photos / "text.jpg").write_text("not a picture")
    assert "skipped: " in demo(photos, tmp_path / "out", status=1)
    assert "no such file or folder" in demo(tmp_path / "nowhere", tmp_path / "out", status=2)


def test_the_shipped_network_needs_no_torch(photos, tmp_path):
    lines = (
        "import sys, run",
        f"status = run.main(['--phase', 'demo', '--image_dir', {str(photos)!r}, '--out_dir', {str(tmp_path)!r}])",
        "assert status == 0 and not {'torch', 'numba'} & set(sys.modules)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, cwd=ROOT)
    assert (tmp_path / "index.html").is_file()


def test_a_checkpoint_without_torch_says_what_to_install(demo, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install -r requirements.txt" in demo(photos, tmp_path, status=2)


def test_errors_reach_the_terminal_without_a_traceback(tmp_path):
    arguments = [sys.executable, str(ROOT / "run.py"), "--phase", "eval", "--out_dir", str(tmp_path)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "checkpoint_last.pt: no such checkpoint; train one" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("train_freihand", "--phase train does not use it"),
        ("eval_freihand", "--phase eval does not use it"),
        ("demo", "no such file or folder"),
    ],
)
def test_scripts_use_the_given_interpreter_and_pass_arguments_on(script, error, tmp_path):
    arguments = [ROOT / f"scripts/{script}.sh", "--image_dir", tmp_path / "nowhere"]
    environment = {**os.environ, "PYTHON": sys.executable}
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert result.returncode == 2
    assert error in result.stderr
