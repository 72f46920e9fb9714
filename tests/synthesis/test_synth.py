"""The synth phase as a user runs it, and training on its images without a disk."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import run as program
from datasets.augmentation import AugmentationSettings
from datasets.augmented import REFERENCE, SampleSettings
from datasets.freihand import FreiHANDEvaluation, FreiHANDTraining
from datasets.synthesis.camera import View
from datasets.synthesis.generator import TONES, GeneratorSettings, shown_side
from datasets.synthesis.poses import FAMILIES
from datasets.synthetic import SyntheticTraining
from handmesh.errors import InputError
from handmesh.geometry import MESH_SCALE_M
from options import parse_options
from runner.synth import synthesize
from tests.runner.conftest import LAST, SMALL
from utils.template import ROOT

COUNTS = ("--train_samples", "60", "--eval_samples", "5")


def synth_arguments(folder, *arguments):
    return ["--phase", "synth", "--data_dir", str(folder), *COUNTS, *arguments]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synthesize(parse_options(synth_arguments(folder, "--workers", "0")))
    return folder


def test_layout(generated, template):
    settings = SampleSettings(augmentation=AugmentationSettings(0, 0, False))
    data = FreiHANDTraining(generated, template.num_vertices[0], settings)
    assert len(data) == 60
    sample = data.read(3)
    assert sample.image.shape == (224, 224, 3)
    mesh = data[0, 3]["mesh"] * MESH_SCALE_M
    np.testing.assert_allclose(template.joint_regressor[0] @ mesh, 0, atol=2e-6)
    joints = template.joint_regressor @ data.source.vertices[3].astype(np.float64)
    np.testing.assert_allclose(joints, data.source.xyz[3], atol=2e-6)
    scale = json.loads((generated / "training_scale.json").read_text())
    assert scale[3] == pytest.approx(np.linalg.norm(data.source.xyz[3, 10] - data.source.xyz[3, 9]), abs=2e-6)
    assert len(FreiHANDEvaluation(generated, 224)) == 5
    assert {path.name for path in generated.glob("evaluation_*.json")} == {
        f"evaluation_{name}.json" for name in ("K", "xyz", "verts", "scale", "kind")
    }
    for family, view, tone in json.loads((generated / "training_kind.json").read_text()):
        assert (family in FAMILIES, view in ("palm", "back", "edge", "along"), tone in TONES) == (True, True, True)
    sheet = cv2.imread(str(generated / "contact_sheet.png"))
    assert sheet.shape == (8 * 224, 8 * 224, 3)


SHOWN = {("x", 180): "palm", ("x", 0): "back", ("y", 90): "edge", ("y", 30): "back", ("x", 90): "along"}


@pytest.mark.parametrize(("turn", "shown"), SHOWN.items())
def test_what_is_turned_to_the_camera(turn, shown):
    rotation = Rotation.from_euler(*turn, degrees=True).as_matrix()
    view = View(rotation, np.array([0, 0, 0.6]), np.eye(3))
    assert shown_side(view.to_camera(np.array([0, -0.3, 0])), view) == shown


def test_a_killed_run_leaves_no_worker_goes_on_and_ends_the_same(generated, tmp_path):
    folder = tmp_path / "data"
    line = [sys.executable, str(ROOT / "run.py"), *synth_arguments(folder, "--workers", "2")]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    while not (folder / "training/rgb/00000059.jpg").exists():
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(child) for child in children.read_text().split()] if children.exists() else []
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    (folder / ".training_K.json.abc.tmp").mkdir()
    synthesize(parse_options(synth_arguments(folder, "--workers", "2")))
    assert files(folder) == files(generated)
    assert {path.name for path in folder.iterdir()} == {path.name for path in generated.iterdir()}


def test_a_mistyped_folder_claims_nothing(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        synthesize(parse_options(synth_arguments(tmp_path / "new", "--skins", str(tmp_path / "absent"))))
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_not_touched(generated, tmp_path, capsys):
    synthesize(parse_options(synth_arguments(generated)))
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(InputError, match="made with another seed"):
        synthesize(parse_options(synth_arguments(generated, "--seed", "2")))
    (tmp_path / "mine.txt").write_text("other data")
    with pytest.raises(InputError, match="holds other data"):
        synthesize(parse_options(synth_arguments(tmp_path)))


def test_a_stream_never_repeats_and_is_repeatable(template):
    settings = SampleSettings(size=96, seed=2, pixels=REFERENCE)
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


def training(out, *arguments):
    line = ["--phase", "train", "--device", "cpu", "--n_threads", "2", "--out_dir", str(out), *SMALL]
    return [*line, "--batch_size", "2", "--max_steps", "2", "--stream", "5000", *arguments]


def test_training_on_a_stream(tmp_path):
    assert program.main(training(tmp_path, "--workers", "0")) == 0
    assert (tmp_path / LAST).is_file()


def test_training_on_a_pool_ends_although_it_is_not_full(tmp_path):
    line = training(tmp_path, "--makers", "1", "--cache", str(tmp_path / "pool"))
    said = subprocess.run([sys.executable, str(ROOT / "run.py"), *line], capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / LAST).is_file()
