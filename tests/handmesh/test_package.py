"""The package as others use it: alone, in pools of processes and in threads, beside a `utils` of their own."""

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import handmesh
from handmesh import runtime
from handmesh.images import read_image
from handmesh.network import Description
from handmesh.registration import FILES
from utils.template import ROOT

PALM = ROOT / "images/palm_img.jpg"
HEAVY = ("torch", "numba", "scipy", "matplotlib", "trimesh")


@pytest.fixture(scope="module")
def find():
    return handmesh.load(threads=1)


@pytest.fixture(scope="module")
def expected(find):
    (hand,) = find(read_image(PALM))
    return hand.vertices_m


def vertices_of(find, path: Path) -> np.ndarray:
    (hand,) = find(read_image(path))
    return hand.vertices_m


def test_nothing_heavy_is_imported_and_foreign_modules_are_left_alone(tmp_path):
    (tmp_path / "utils.py").write_text("MINE = True")
    (tmp_path / "models.py").write_text("MINE = True")
    script = (
        "import sys, utils, models, handmesh, handmesh.cli\n"
        "assert utils.MINE and models.MINE\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_find_the_same(find, expected, method):
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for vertices in pool.map(vertices_of, [find] * 3, [PALM] * 3, timeout=60):
            np.testing.assert_array_equal(vertices, expected)


def test_threads_find_the_same(find, expected):
    with ThreadPoolExecutor(4) as pool:
        for vertices in pool.map(vertices_of, [find] * 8, [PALM] * 8):
            np.testing.assert_array_equal(vertices, expected)


def test_a_forked_child_opens_the_files_again(expected):
    if "fork" not in multiprocessing.get_all_start_methods():
        return
    find = handmesh.load(threads=2)  # has a thread of its own, which a child does not inherit
    vertices_of(find, PALM)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    child = context.Process(target=lambda: sender.send(vertices_of(find, PALM)))
    child.start()
    assert receiver.poll(60)
    np.testing.assert_allclose(receiver.recv(), expected, atol=1e-6)
    child.join()


def test_hands_can_be_pickled(find):
    (hand,) = pickle.loads(pickle.dumps(find(read_image(PALM))))
    assert hand.vertices_m.shape == (750, 3)
    assert np.abs(hand.joints_px - hand.landmarks_px).mean() < 5


def test_what_a_network_says_of_itself_is_read_back(find):
    description = find.description
    again = Description.from_metadata(description.to_metadata(), Path("here.onnx"))
    np.testing.assert_array_equal(again.faces, description.faces)
    np.testing.assert_array_equal(again.joint_regressor, description.joint_regressor)
    assert (again.name, again.traits, again.calibration) == (
        description.name,
        description.traits,
        description.calibration,
    )


@pytest.mark.parametrize(
    ("name", "value"), [("faces", "[[0, 1, 9999]]"), ("traits", "{}"), ("size_px", "x"), ("joint_order", '"MANO"')]
)
def test_a_file_of_something_else_is_named(find, name, value):
    with pytest.raises(handmesh.InputError, match="here.onnx"):
        Description.from_metadata(find.description.to_metadata() | {name: value}, Path("here.onnx"))


def test_a_changed_byte_of_a_shipped_network_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "DATA", tmp_path)
    path = tmp_path / "registration_landmarks.onnx"
    content = bytearray(FILES["landmarks"].read_bytes())
    path.write_bytes(content)
    runtime.OnnxModel(path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(handmesh.InputError, match="damaged"):
        runtime.OnnxModel(path)


def test_a_network_that_finds_no_meshes_is_refused():
    with pytest.raises(handmesh.InputError, match="palm_detection.onnx"):
        handmesh.load(Path(handmesh.__file__).parent / "data/palm_detection.onnx")
