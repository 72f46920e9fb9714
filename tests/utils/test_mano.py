"""MANO's mathematics, on a model in its format that is made up from the open hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from handmesh.errors import InputError
from handmesh.hand_model import load_hand_model
from handmesh.joints import MANO_TO_FREIHAND
from tests.made_up_mano import PARENTS, write_made_up_mano
from utils.mano import FREIHAND_TIP_VERTICES, ManoHands, fit_mano, read_mano


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("mano") / "MANO_RIGHT.pkl"
    content = write_made_up_mano(path)
    return read_mano(path), content


def random_hands(model, count, seed=0):
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.4, (count, 48))
    pose[:, :3] = Rotation.random(count, rng=rng).as_rotvec()
    turns = model.hands(pose, np.zeros((count, 10))).turns
    return pose, ManoHands(turns, rng.normal(size=(count, 10)), rng.normal([0, 0, 0.6], 0.1, (count, 3)))


def posed_as_published(content, pose, shape):
    """Vertices (V, 3) and joints (16, 3), one joint at a time with 4 x 4 matrices, as MANO's own code."""
    pose = pose + np.concatenate([np.zeros(3), content["hands_mean"]])
    shaped = content["v_template"] + content["shapedirs"] @ shape
    joints = content["J_regressor"] @ shaped
    turns = Rotation.from_rotvec(pose.reshape(16, 3)).as_matrix()
    vertices = shaped + content["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
    world = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = turns[joint], joints[joint] - (joints[parent] if joint else 0)
        world.append(world[parent] @ local if joint else local)
    placed = np.zeros_like(vertices)
    for joint, matrix in enumerate(world):
        moved = (vertices - joints[joint]) @ matrix[:3, :3].T + matrix[:3, 3]
        placed += content["weights"][:, [joint]] * moved
    return placed, np.array([matrix[:3, 3] for matrix in world])


def test_the_mesh_is_the_one_of_the_published_formulas(written):
    model, content = written
    pose, hands = random_hands(model, 3)
    found = model.mesh(hands), model.freihand_joints(hands)
    for mesh, joints, *numbers, place in zip(*found, pose, hands.shape, hands.translation_m, strict=True):
        vertices, origins = posed_as_published(content, *numbers)
        np.testing.assert_allclose(mesh, vertices + place, atol=1e-12)
        expected = np.concatenate([origins, vertices[list(FREIHAND_TIP_VERTICES)]])[list(MANO_TO_FREIHAND)]
        np.testing.assert_allclose(joints, expected + place, atol=1e-12)


def test_derivatives_are_those_of_differences(written):
    model, _ = written
    _, hands = random_hands(model, 2, seed=1)
    found, step = model.derivatives(hands), 1e-6
    for number in range(found.shape[3]):
        change = np.zeros((2, found.shape[3]))
        change[:, number] = step
        there, here = model.mesh(hands.moved(change)), model.mesh(hands.moved(-change))
        np.testing.assert_allclose(found[..., number], (there - here) / (2 * step), atol=1e-8)


def test_pose_shape_and_place_come_back_from_the_mesh(written):
    model, _ = written
    _, hands = random_hands(model, 6, seed=2)
    found, errors_m = fit_mano(model, model.mesh(hands))
    assert errors_m.max() < 1e-6
    np.testing.assert_allclose(found.turns, hands.turns, atol=1e-4)
    np.testing.assert_allclose(found.shape, hands.shape, atol=1e-4)
    np.testing.assert_allclose(found.translation_m, hands.translation_m, atol=1e-6)
    again = model.hands(model.pose(found), found.shape)
    np.testing.assert_allclose(model.mesh(again) + found.translation_m[:, None], model.mesh(hands), atol=1e-5)


def test_a_mesh_that_is_off_is_fitted_no_worse_than_the_truth(written):
    model, _ = written
    _, hands = random_hands(model, 3, seed=3)
    off = model.mesh(hands) + np.random.default_rng(0).normal(0, 0.005, (3, len(model.vertices), 3))
    found, errors_m = fit_mano(model, off)
    assert np.square(off - model.mesh(found)).sum() < np.square(off - model.mesh(hands)).sum()
    assert (errors_m < 0.009).all()
    assert np.linalg.norm(model.mesh(found) - model.mesh(hands), axis=2).mean() < 0.002


V = len(load_hand_model().vertices)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"posedirs": None}, "posedirs is missing"),
        ({"hands_mean": "text"}, "hands_mean is missing or does not hold numbers"),
        ({"weights": np.ones((V, 15))}, "weights is"),
        ({"shapedirs": np.full((V, 3, 10), np.nan)}, "finite"),
        ({"v_template": np.zeros((5, 3))}, "shapedirs is"),
        ({"v_template": None}, "v_template"),
        ({"kintree_table": np.tile(np.arange(16), (2, 1))}, "kintree_table"),
    ],
)
def test_what_is_not_a_mano_model_is_named(changes, problem, tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    write_made_up_mano(path, **changes)
    with pytest.raises(InputError, match=f"MANO_RIGHT.pkl: .*{problem}"):
        read_mano(path)
