"""Predictions and ground truth in the layouts that there are."""

import json
import zipfile

import numpy as np
import pytest

import run as program

# HO-3D's order in words: MANO's joints, then the tips.
HO3D_ORDER = [
    "wrist",
    *(f"{finger}_{part}" for finger in ("index", "middle", "little", "ring", "thumb") for part in (1, 2, 3)),
    *(f"{finger}_4" for finger in ("thumb", "index", "middle", "ring", "little")),
]
FREIHAND_ORDER = [
    "wrist",
    *(f"{finger}_{part}" for finger in ("thumb", "index", "middle", "ring", "little") for part in (1, 2, 3, 4)),
]


@pytest.fixture
def truth(rendered_freihand):
    names = ("evaluation_xyz.json", "evaluation_verts.json")
    return [np.array(json.loads((rendered_freihand / name).read_text())) for name in names]


@pytest.fixture
def score(tmp_path, capfd):
    """Scores what is written; returns scores.txt as a dict and the table of joints."""

    def call(prediction, gt, *arguments):
        path = tmp_path / "pred.json"
        path.write_text(json.dumps([None if part is None else np.asarray(part).tolist() for part in prediction]))
        called = ["--phase", "score", "--pred", str(path), "--gt", str(gt), "--out_dir", str(tmp_path / "out")]
        assert program.main([*called, *arguments]) == 0, capfd.readouterr()
        lines = (tmp_path / "out/scores.txt").read_text().splitlines()
        return dict(line.split(": ") for line in lines), (tmp_path / "out/joint_errors.txt").read_text().splitlines()

    return call


def as_ho3d(xyz, vertices):
    order = [FREIHAND_ORDER.index(name) for name in HO3D_ORDER]
    return [part * np.array([1, -1, -1]) for part in (xyz[:, order], vertices)]


def test_ho3d_layout_is_converted(truth, rendered_freihand, tmp_path, score):
    xyz, vertices = (part.copy() for part in truth)
    xyz[:, FREIHAND_ORDER.index("ring_4"), 2] += 0.021
    expected, table = score([xyz, vertices], rendered_freihand)
    ho3d = as_ho3d(xyz, vertices)
    assert score(ho3d, rendered_freihand, "--pred_layout", "ho3d") == (expected, table)
    assert expected["xyz_mean3d"] == "0.100000"
    (ring,) = (line for line in table if line.startswith("ring_4"))
    assert ring.split()[1] == "21.00"
    for name, part in zip(("xyz", "verts"), as_ho3d(*truth), strict=True):
        (tmp_path / f"evaluation_{name}.json").write_text(json.dumps(part.tolist()))
    assert score(ho3d, tmp_path, "--pred_layout", "ho3d", "--gt_layout", "ho3d") == (expected, table)
    assert float(score(ho3d, rendered_freihand)[0]["xyz_mean3d"]) > 10


@pytest.mark.parametrize("meshes", [[], [None], [[]], [[[], [], [], [], []]]])
def test_joints_are_scored_alone(meshes, truth, rendered_freihand, score):
    scores, table = score([truth[0] + np.array([0, 0, 0.01]), *meshes], rendered_freihand)
    assert list(scores) == ["xyz_mean3d", "xyz_auc3d", "xyz_al_mean3d", "xyz_al_auc3d"]
    assert scores["xyz_mean3d"] == "1.000000"
    assert "root-relative MPJPE: 0.00 mm" in table
    assert not any("MPVPE" in line for line in table)


def test_ground_truth_may_have_joints_alone(truth, tmp_path, score):
    (tmp_path / "evaluation_xyz.json").write_text(json.dumps(truth[0].tolist()))
    assert score(truth, tmp_path)[0]["xyz_mean3d"] == "0.000000"


def test_a_zip_is_one_whatever_the_case_of_its_name(truth, rendered_freihand, tmp_path):
    with zipfile.ZipFile(tmp_path / "G.ZIP", "w") as archive:
        archive.writestr("PRED.JSON", json.dumps([part.tolist() for part in truth]))
    arguments = ["--phase", "score", "--pred", str(tmp_path / "G.ZIP"), "--gt", str(rendered_freihand)]
    assert program.main([*arguments, "--out_dir", str(tmp_path / "out")]) == 0
