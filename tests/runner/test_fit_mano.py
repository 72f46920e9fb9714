"""The fit_mano phase: predictions become MANO's numbers, FreiHAND's rows become joints."""

import json

import numpy as np
import pytest

import run as program
from handmesh.geometry import project
from runner.score_files import read_prediction
from tests.made_up_mano import write_made_up_mano
from utils.mano import ManoHands, read_mano

COUNT = 18  # more than one batch


@pytest.fixture
def model(tmp_path):
    write_made_up_mano(tmp_path / "MANO_RIGHT.pkl")
    return read_mano(tmp_path / "MANO_RIGHT.pkl")


@pytest.fixture
def hands(model, rng):
    pose, shape = rng.normal(0, 0.3, (COUNT, 48)), rng.normal(0, 0.5, (COUNT, 10))
    return pose, ManoHands(model.hands(pose, shape).turns, shape, rng.normal([0, 0, 0.6], 0.05, (COUNT, 3)))


@pytest.fixture
def fit(tmp_path):
    def call(name, content, *more):
        (tmp_path / name).write_text(json.dumps(content))
        files = ["--template", str(tmp_path / "MANO_RIGHT.pkl"), "--pred", str(tmp_path / name)]
        return program.main(["--phase", "fit_mano", *files, "--out_dir", str(tmp_path / "out"), *more])

    return call


def test_a_prediction_becomes_pose_shape_and_translation(model, hands, fit, tmp_path):
    pose, truth = hands
    assert fit("pred.json", [model.freihand_joints(truth).tolist(), model.mesh(truth).tolist()]) == 0
    rows = json.loads((tmp_path / "out/mano.json").read_text())
    assert [tuple(row) for row in rows] == [("pose", "shape", "translation_m", "error_mm")] * COUNT
    np.testing.assert_allclose([row["pose"] for row in rows], pose, atol=1e-3)
    np.testing.assert_allclose([row["shape"] for row in rows], truth.shape, atol=1e-3)
    np.testing.assert_allclose([row["translation_m"] for row in rows], truth.translation_m, atol=1e-5)
    assert max(row["error_mm"] for row in rows) < 1e-3


def freihand_rows(model, pose, truth):
    """Rows of `training_mano.json`, and cameras, of hands that are somewhere."""
    joints = model.freihand_joints(truth)
    K = np.array([[500.0, 0, 110], [0, 500, 115], [0, 0, 1]])
    root = joints[:, 9]
    rows = np.concatenate([pose, truth.shape, project(root, K), K[0, 0] / root[:, 2:]], axis=1)
    return joints, rows[:, None], np.tile(K, (COUNT, 1, 1))


def test_freihands_rows_become_joints_before_the_camera(model, hands, fit, tmp_path):
    joints, rows, K = freihand_rows(model, *hands)
    (tmp_path / "training_K.json").write_text(json.dumps(K.tolist()))
    assert fit("training_mano.json", rows.tolist()) == 0
    found, meshes = read_prediction(tmp_path / "out/joints.json")
    assert meshes is None
    np.testing.assert_allclose(found, joints, atol=1e-9)


def test_what_cannot_be_fitted_is_named(model, hands, fit, tmp_path, capfd):
    joints, meshes = model.freihand_joints(hands[1]), model.mesh(hands[1])
    _, rows, K = freihand_rows(model, *hands)
    (tmp_path / "some_K.json").write_text(json.dumps(K[:3].tolist()))
    no_scale = rows.copy()
    no_scale[4, 0, 60] = 0
    for name, content, problem in (
        ("pred.json", [joints.tolist()], "joints alone"),
        ("pred.json", [joints.tolist(), meshes[:, :700].tolist()], "meshes of 700 vertices"),
        ("pred.json", [joints.tolist(), (meshes * np.nan).tolist()], "not finite"),
        ("pred.json", {"hands": 1}, "expected [xyz, verts]"),
        ("pred.json", [], "expected [xyz, verts]"),
        ("training_mano.json", rows.tolist(), "training_K.json: no such file"),
        ("some_mano.json", rows.tolist(), "lists of different length"),
        ("rows.json", rows.tolist(), "name it SPLIT_mano.json"),
        ("training_mano.json", rows[:, :, :60].tolist(), "training_mano.json"),
    ):
        assert fit(name, content) == 2
        assert problem in capfd.readouterr().err
    (tmp_path / "some_K.json").write_text(json.dumps(K.tolist()))
    assert fit("some_mano.json", no_scale.tolist()) == 2
    assert "entry 4 has a scale" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_it_needs_a_prediction_and_a_mano_file(tmp_path, capfd):
    for arguments, problem in (
        (["--template", "MANO_RIGHT.pkl"], "needs --pred"),
        (["--pred", "x.json"], "needs --template MANO_RIGHT.pkl"),
        (["--pred", "x.json", "--template", str(tmp_path / "MANO_RIGHT.pkl")], "no such file"),
    ):
        assert program.main(["--phase", "fit_mano", *arguments]) == 2
        assert problem in capfd.readouterr().err
