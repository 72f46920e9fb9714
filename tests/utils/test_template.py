"""Templates: what can be read, what can be built, what is refused, and what a pickle may not do."""

import os
import pickle
import pickletools
import sys
import types

import numpy as np
import pytest
import trimesh
from scipy import sparse

from handmesh.errors import InputError
from handmesh.joints import MANO_TIP_VERTICES
from tests.conftest import shared_file
from utils.restricted_pickle import load_arrays
from utils.template import OPEN_HAND, ROOT, load_template


@pytest.mark.shared_data
def test_released_template(released_template):
    assert released_template.num_vertices == (778, 389, 195, 98, 49)
    assert [len(faces) for faces in released_template.faces] == [1538, 761, 374, 183, 86]
    # Finger tips are single vertices; FreiHAND joint 4 is the thumb's, the last of MANO's tips.
    for joint, vertex in zip((8, 12, 20, 16, 4), MANO_TIP_VERTICES, strict=True):
        assert released_template.joint_regressor[joint].argmax() == vertex
        assert released_template.joint_regressor[joint].sum() == 1


@pytest.mark.shared_data
def test_joints_of_the_reference_predictions(released_template):
    predictions = np.load(shared_file("photos", "cmr", "reference_predictions.npz"))
    names = [name for name in predictions.files if name.startswith("verts_")]
    assert len(names) == 10
    for name in names:
        joints = released_template.joint_regressor @ predictions[name]
        np.testing.assert_allclose(joints, predictions[name.replace("verts", "xyz")], atol=1e-4)


def test_open_hand_is_a_right_hand_of_adult_size(template):
    joints = template.joint_regressor @ template.vertices
    assert 0.16 < np.linalg.norm(joints[12] - joints[0]) < 0.21
    assert 0.003 < np.linalg.norm(joints[0]) < 0.006  # labelled where FreiHAND has it, not where the hand turns
    np.testing.assert_allclose(template.joint_regressor.sum(axis=1), 1)
    # Each finger's joints lie one behind the other.
    for base in range(1, 21, 4):
        reach = np.linalg.norm(joints[base : base + 4] - joints[0], axis=1)
        assert (np.diff(reach) > 0).all()
    # Fingers up, palm towards the viewer (right-handed frame, z to the viewer): the thumb of a right hand is to the
    # right. The palm's side is where the thumb's tip is with respect to the plane of the four knuckles.
    up = joints[9] - joints[0]
    across = joints[5] - joints[17]
    palm = np.cross(across, up)
    assert (joints[4] - joints[5]) @ palm > 0


@pytest.mark.parametrize("suffix", ["ply", "obj"])
def test_any_mesh_with_a_regressor(suffix, tmp_path, rng):
    sphere = trimesh.creation.icosphere(subdivisions=3)
    sphere.export(tmp_path / f"template.{suffix}")
    regressor = rng.dirichlet(np.ones(len(sphere.vertices)), 21)
    np.save(tmp_path / "joint_regressor.npy", regressor)
    for path in (tmp_path, tmp_path / f"template.{suffix}"):
        built = load_template(path, seq_length=(9, 9, 9, 6), dilation=(2, 1, 1, 1))
        assert built.num_vertices == (642, 321, 161, 81, 41)
        assert [spirals.shape for spirals in built.spirals] == [(642, 9), (321, 9), (161, 9), (81, 6)]
        np.testing.assert_array_equal(built.joint_regressor, regressor)


def test_the_originals_regressor_has_its_rows_in_mano_order(tmp_path, rng):
    sphere = trimesh.creation.uv_sphere(count=[30, 30])
    sphere.export(tmp_path / "template.ply")
    regressor = rng.dirichlet(np.ones(len(sphere.vertices)), 25)  # tips are rows 16 to 20, the rest is not read
    for rows in (16, 21, 25):
        np.save(tmp_path / "j_reg.npy", regressor[:rows])
        built = load_template(tmp_path)
        np.testing.assert_array_equal(built.joint_regressor[[0, 1, 5, 17]], regressor[[0, 13, 1, 7]])
        if rows > 16:
            np.testing.assert_array_equal(built.joint_regressor[[4, 8, 12, 16, 20]], regressor[[20, 16, 17, 19, 18]])


def test_relative_paths_fall_back_to_the_repository(tmp_path, monkeypatch, template):
    monkeypatch.chdir(tmp_path)
    assert load_template(OPEN_HAND).digest == template.digest
    assert load_template(ROOT / OPEN_HAND, seq_length=9).digest != template.digest


def chumpy_modules(monkeypatch):
    """Modules with chumpy's names, only to write a pickle like MANO's; reading must not need them."""
    for name, classes in (("chumpy", ()), ("chumpy.ch", ("Ch",)), ("chumpy.reordering", ("Select",))):
        module = types.ModuleType(name)
        for kind in classes:
            setattr(module, kind, type(kind, (), {"__module__": name}))
        monkeypatch.setitem(sys.modules, name, module)


def test_mano_file_without_chumpy(tmp_path, monkeypatch, rng):
    """A stand-in with MANO's layout: a sphere of more than 744 vertices, a 16-row regressor, chumpy arrays."""
    grid = trimesh.creation.uv_sphere(count=[30, 30])
    assert len(grid.vertices) > 744
    regressor = sparse.random(16, len(grid.vertices), density=0.01, rng=rng, format="csc")
    chumpy_modules(monkeypatch)
    shapes = sys.modules["chumpy.ch"].Ch()
    shapes.__dict__["x"] = rng.normal(size=(4, 3))
    selection = sys.modules["chumpy.reordering"].Select()
    selection.__dict__.update(a=shapes, idxs=np.array([2, 0]), preferred_shape=(2, 1))
    content = {
        "v_template": grid.vertices.view(np.ndarray),
        "f": grid.faces.view(np.ndarray).astype(np.uint32),
        "J_regressor": regressor,
        "shapedirs": shapes,
        "selected": selection,
    }
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    monkeypatch.undo()
    assert "chumpy" not in sys.modules
    read = load_arrays(path)
    np.testing.assert_array_equal(read["shapedirs"], shapes.__dict__["x"])
    np.testing.assert_array_equal(read["selected"], [[shapes.__dict__["x"].ravel()[2]], [shapes.__dict__["x"][0, 0]]])
    assert (read["J_regressor"] != regressor).nnz == 0
    loaded = load_template(path)
    np.testing.assert_allclose(loaded.joint_regressor[0], regressor.toarray()[0])
    assert loaded.joint_regressor[8].argmax() == MANO_TIP_VERTICES[0]


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, np.load, np.frombuffer, getattr, sparse.load_npz])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_cannot_call_anything(function, protocol, tmp_path):
    path = tmp_path / "transform.pkl"
    path.write_bytes(pickle.dumps({"vertices": [Attack(function, "echo hello")]}, protocol=protocol))
    with pytest.raises(InputError, match="neither an array nor a sparse matrix"):
        load_arrays(path)


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csr_matrix, sparse.coo_matrix])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickled_arrays_and_matrices_come_back(kind, protocol, tmp_path, rng):
    matrix = kind(sparse.random(5, 7, density=0.3, rng=rng))
    content = {"m": matrix, "a": rng.normal(size=(2, 3)), "n": [np.float32(2), "text", (1, None)], "i": np.arange(3)}
    path = tmp_path / "content.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_arrays(path)
    assert abs(read["m"] - matrix).max() == 0
    np.testing.assert_array_equal(read["a"], content["a"])
    assert read["n"] == content["n"]


def test_matrices_with_indices_out_of_range_are_refused(tmp_path):
    matrix = sparse.csr_matrix(np.eye(3))
    matrix.indices[1] = 1000
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(matrix))
    with pytest.raises(InputError, match="bad.pkl"):
        load_arrays(path)


@pytest.mark.parametrize("damage", ["faces", "face_index", "levels", "down", "up", "missing"])
def test_released_transforms_are_checked(damage, template, tmp_path):
    content = {
        "vertices": [np.zeros((size, 3)) for size in template.num_vertices],
        "face": [faces.copy() for faces in template.faces],
        "down_transform": [matrix.copy() for matrix in template.down],
        "up_transform": [matrix.copy() for matrix in template.up],
    }
    np.save(tmp_path / "joint_regressor.npy", template.joint_regressor)
    path = tmp_path / "transform.pkl"
    path.write_bytes(pickle.dumps(content))
    content["vertices"][0] = template.vertices
    load_template(tmp_path)
    if damage == "faces":
        content["face"] = content["face"][:4]
    elif damage == "face_index":
        content["face"][1][0, 0] = 10_000
    elif damage == "levels":
        content["vertices"][2] = content["vertices"][2][:-1]
    elif damage == "down":
        content["down_transform"][0].data[:] = 0
    elif damage == "up":
        content["up_transform"][0].data[0] = np.nan
    else:
        del content["face"]
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="transform.pkl"):
        load_template(tmp_path)


def test_shared_lists_do_not_multiply(tmp_path):
    nested = [1]
    for _ in range(60):
        nested = [nested, nested]
    path = tmp_path / "nested.pkl"
    path.write_bytes(pickle.dumps(nested))
    read = load_arrays(path)
    assert read[0] is read[1]


def test_truncated_pickles_are_input_errors(tmp_path):
    whole = pickle.dumps({"vertices": [np.zeros((5, 3))]})
    path = tmp_path / "cut.pkl"
    boundaries = [position for _, _, position in pickletools.genops(whole) if position]
    for end in boundaries[:: max(1, len(boundaries) // 12)]:
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="cut.pkl"):
            load_arrays(path)


def test_what_is_not_a_template_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such"):
        load_template(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds neither transform.pkl"):
        load_template(tmp_path)
    trimesh.creation.icosphere(subdivisions=3).export(tmp_path / "template.ply")
    with pytest.raises(InputError, match="no joint regressor"):
        load_template(tmp_path)
    np.save(tmp_path / "joint_regressor.npy", np.zeros((21, 5)))
    with pytest.raises(InputError, match="21 x 5, expected 21 x 642"):
        load_template(tmp_path)
    (tmp_path / "joint_regressor.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match="joint_regressor.npy"):
        load_template(tmp_path)
    (tmp_path / "joint_regressor.npy").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="joint_regressor.npy"):
        load_template(tmp_path)
    for wrong in (np.zeros(642), np.full((21, 642), np.nan), np.full((21, 642), "x")):
        np.save(tmp_path / "joint_regressor.npy", wrong)
        with pytest.raises(InputError, match="regressor"):
            load_template(tmp_path)
    np.save(tmp_path / "joint_regressor.npy", np.full((21, 642), 1 / 642, np.float32))
    assert load_template(tmp_path).joint_regressor.dtype == np.float64
    (tmp_path / "template.ply").write_text("ply\nbroken")
    with pytest.raises(InputError, match="template.ply"):
        load_template(tmp_path)
    with pytest.raises(InputError, match="seq_length"):
        load_template(OPEN_HAND, seq_length=(9, 9))
