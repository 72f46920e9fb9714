"""The synth phase as a user runs it, and training on its images without a disk."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.augmentation import AugmentationSettings
from datasets.augmented import SampleSettings
from datasets.freihand import FreiHANDEvaluation, FreiHANDTraining
from datasets.synthesis.generator import GeneratorSettings
from datasets.synthetic import SyntheticTraining
from handmesh.errors import InputError
from handmesh.geometry import MESH_SCALE_M
from options import parse_options
from run import run
from tests.test_phases import COMMON
from utils.template import ROOT

COUNTS = ("--train_samples", "110", "--eval_samples", "55")


def synth(folder, *arguments, status=0):
    line = [sys.executable, str(ROOT / "run.py"), "--phase", "synth", "--data_dir", str(folder), *arguments]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return result


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synth(folder, *COUNTS, "--workers", "0")
    return folder


def test_layout(generated, template):
    settings = SampleSettings(augmentation=AugmentationSettings(0, 0, False))
    data = FreiHANDTraining(generated, template.num_vertices[0], settings)
    assert len(data) == 110
    sample = data.read(3)
    assert sample.image.shape == (224, 224, 3)
    mesh = data[0, 3]["mesh"] * MESH_SCALE_M
    np.testing.assert_allclose(template.joint_regressor[0] @ mesh, 0, atol=2e-6)
    joints = template.joint_regressor @ data.source.vertices[3].astype(np.float64)
    np.testing.assert_allclose(joints, data.source.xyz[3], atol=2e-6)
    scale = json.loads((generated / "training_scale.json").read_text())
    assert scale[3] == pytest.approx(np.linalg.norm(data.source.xyz[3, 10] - data.source.xyz[3, 9]), abs=2e-6)
    assert len(FreiHANDEvaluation(generated, 224)) == 55
    assert {path.name for path in generated.glob("evaluation_*.json")} == {
        f"evaluation_{name}.json" for name in ("K", "xyz", "verts", "scale")
    }
    sheet = cv2.imread(str(generated / "contact_sheet.png"))
    assert sheet.shape == (8 * 224, 8 * 224, 3)


def test_workers_do_not_change_a_byte(generated, tmp_path):
    synth(tmp_path / "data", *COUNTS, "--workers", "2")
    assert files(tmp_path / "data") == files(generated)


def test_a_killed_run_goes_on_and_ends_the_same(generated, tmp_path):
    folder = tmp_path / "data"
    line = [sys.executable, str(ROOT / "run.py"), "--phase", "synth", "--data_dir", str(folder), *COUNTS]
    process = subprocess.Popen([*line, "--workers", "0"], stderr=subprocess.DEVNULL)
    while not list(folder.glob(".rows/training_*.npz")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    synth(folder, *COUNTS)
    assert files(folder) == files(generated)


def test_no_worker_outlives_a_terminated_run_and_leftovers_go(generated, tmp_path):
    folder = tmp_path / "data"
    line = [sys.executable, str(ROOT / "run.py"), "--phase", "synth", "--data_dir", str(folder), *COUNTS]
    process = subprocess.Popen([*line, "--workers", "2"], stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not list(folder.glob("training/rgb/*.jpg")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = [int(child) for child in children.read_text().split()]
    assert workers
    process.send_signal(signal.SIGTERM)
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    (folder / ".training_K.json.abc.tmp").write_text("[")
    for rows in folder.glob(".rows/*.npz"):
        rows.write_bytes(b"cut short")
    synth(folder, *COUNTS)
    assert files(folder) == files(generated)


def test_a_mistyped_folder_claims_nothing(tmp_path):
    assert "no such folder" in synth(tmp_path / "new", "--skins", str(tmp_path / "absent"), status=2).stderr
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_not_touched(generated, tmp_path):
    assert "nothing to do" in synth(generated, *COUNTS).stdout
    error = synth(generated, *COUNTS, "--seed", "2", status=2).stderr
    assert "made with another seed" in error
    (tmp_path / "mine.txt").write_text("other data")
    assert "holds other data" in synth(tmp_path, *COUNTS, status=2).stderr


def test_a_stream_never_repeats_and_is_repeatable(template):
    settings = SampleSettings(size=96, seed=2)
    data = SyntheticTraining(GeneratorSettings(seed=2), 10, template.num_vertices[0], settings)
    first, again, later = data[0, 3], data[0, 3], data[1, 3]
    assert len(data) == 10
    assert not any(sample.pop("mirrored") for sample in (first, again, later))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert np.abs(value - later[name]).max() > 0.01
    assert np.isfinite(first["image"]).all()
    with pytest.raises(InputError, match="template"):
        SyntheticTraining(GeneratorSettings(), 10, 778, settings)


def train_arguments(out, *arguments):
    return ["--phase", "train", "--out_dir", str(out), *COMMON, *arguments]


def train(out, *arguments):
    line = [sys.executable, str(ROOT / "run.py"), *train_arguments(out, *arguments)]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_training_on_a_stream(tmp_path):
    small = ["--size", "96", "--out_channels", "8", "8", "16", "16", "--imagenet", "none", "--batch_size", "2"]
    train(tmp_path, "--stream", "8", "--max_steps", "3", *small)
    train(tmp_path, "--resume", "last", "--max_steps", "4")
    for arguments, message in (
        (["--stream", "9"], "holds stream 8"),
        (["--hand", "left"], "holds hand right"),
        (["--data_dir", str(tmp_path)], "leave --data_dir out"),
    ):
        with pytest.raises(InputError, match=message):
            run(parse_options(train_arguments(tmp_path, "--resume", "last", *arguments)))
