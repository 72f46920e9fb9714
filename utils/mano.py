"""MANO, the hand model of FreiHAND's meshes: from pose and shape to a mesh, and back.

Romero et al., *Embodied Hands* (2017). The model is read from a `MANO_RIGHT.pkl`, which may not be distributed.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse

from handmesh.errors import InputError
from handmesh.hand_model import cross_matrices, rotation_matrices, rotation_vector
from handmesh.joints import MANO_TO_FREIHAND
from handmesh.pose import nearest_similarity
from utils.restricted_pickle import load_arrays

NUM_JOINTS, NUM_SHAPES = 16, 10
NUM_ANGLES = 3 * NUM_JOINTS
FREIHAND_TIP_VERTICES = (320, 443, 672, 555, 744)  # index, middle, little, ring, thumb, of FreiHAND's own annotation

MAX_STEPS = 50
CONVERGED = 3e-4  # largest change in a step: radians, metres, standard deviations of shape
FIRST_DAMPING, LESS, MORE = 1e-2, 0.2, 5.0  # of the normal equations, and its factors after a step
LEAST_CURVATURE = 1e-9  # of what the vertices do not say


@dataclass(frozen=True)
class ManoHands:
    """N right hands.

    Attributes:
        turns: (N, 16, 3, 3), rotation of each joint against the one it hangs on, the wrist's against the camera.
        shape: (N, 10), standard deviations.
        translation_m: (N, 3), of all vertices; the wrist turns about its own place at rest.
    """

    turns: np.ndarray
    shape: np.ndarray
    translation_m: np.ndarray

    def moved(self, step: np.ndarray) -> "ManoHands":
        """These hands after a change (N, 61): rotation vectors, shape, translation."""
        angles, shape, translation = np.split(step, [NUM_ANGLES, NUM_ANGLES + NUM_SHAPES], axis=1)
        turns = rotation_matrices(angles.reshape(-1, NUM_JOINTS, 3)) @ self.turns
        return ManoHands(turns, self.shape + shape, self.translation_m + translation)

    def where(self, chosen: np.ndarray, others: "ManoHands") -> "ManoHands":
        """These hands where chosen (N,), elsewhere the others."""
        return ManoHands(
            np.where(chosen[:, None, None, None], self.turns, others.turns),
            np.where(chosen[:, None], self.shape, others.shape),
            np.where(chosen[:, None], self.translation_m, others.translation_m),
        )


@dataclass(frozen=True)
class Mano:
    """A right hand of V vertices and 16 joints, metres.

    Attributes:
        vertices: (V, 3) at rest.
        shapes: (10, V, 3), their change with the shape.
        correctives: (135, V, 3), their change with the rotation matrices of the 15 joints after the wrist.
        joint_regressor: (16, V).
        weights: (V, 16), of the skinning.
        mean_pose: (48,) radians, zero for the wrist. Poses in files are what is added to it.
        parents: joint that each one hangs on, -1 for the wrist.
    """

    vertices: np.ndarray
    shapes: np.ndarray
    correctives: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    mean_pose: np.ndarray
    parents: tuple[int, ...]

    def hands(self, pose: np.ndarray, shape: np.ndarray) -> ManoHands:
        """Hands of poses (N, 48) and shapes (N, 10), not moved.

        A pose is a rotation vector for each joint, less the mean pose, as in FreiHAND's `mano` rows and in smplx with
        `use_pca=False`.
        """
        turns = rotation_matrices((pose + self.mean_pose).reshape(-1, NUM_JOINTS, 3))
        return ManoHands(turns, shape, np.zeros((len(pose), 3)))

    def pose(self, hands: ManoHands) -> np.ndarray:
        """Poses (N, 48) of hands, see `hands`; each rotation by at most half a turn."""
        vectors = [[rotation_vector(joint) for joint in hand] for hand in hands.turns]
        return np.reshape(vectors, (-1, NUM_ANGLES)) - self.mean_pose

    def mesh(self, hands: ManoHands) -> np.ndarray:
        """Vertices (N, V, 3), metres."""
        rotations = self._rotations(hands)
        rest, joints = self._rest(hands)
        return self._skinned(rotations, rest, joints) + hands.translation_m[:, None]

    def freihand_joints(self, hands: ManoHands) -> np.ndarray:
        """The 21 joints (N, 21, 3) of FreiHAND's annotation, in its order, metres."""
        rotations, (_, joints) = self._rotations(hands), self._rest(hands)
        tips = self.mesh(hands)[:, list(FREIHAND_TIP_VERTICES)]
        origins = self._origins(rotations, joints) + hands.translation_m[:, None]
        return np.concatenate([origins, tips], axis=1)[:, list(MANO_TO_FREIHAND)]

    def derivatives(self, hands: ManoHands) -> np.ndarray:
        """Of the vertices with a change of the hands (N, V, 3, 61), see `ManoHands.moved`."""
        rotations = self._rotations(hands)
        rest, joints = self._rest(hands)
        origins, count = self._origins(rotations, joints), len(rest)
        moved = (rest[:, None] - joints[:, :, None]) @ rotations.swapaxes(2, 3) + origins[:, :, None]  # (N, 16, V, 3)
        moved *= self.weights.T[..., None]
        arms = (self._beyond @ moved.reshape(count, NUM_JOINTS, -1)).reshape(moved.shape)
        arms -= (self._beyond @ self.weights.T)[..., None] * origins[:, :, None]
        above = np.concatenate([np.broadcast_to(np.eye(3), (count, 1, 3, 3)), rotations[:, self.parents[1:]]], axis=1)
        turning = -cross_matrices(arms) @ above[:, :, None]  # (N, 16, V, 3, 3 axes)
        turned = cross_matrices(np.eye(3)) @ hands.turns[:, 1:, None]  # (N, 15, 3 axes, 3, 3)
        corrected = turned.reshape(count, -1, 3, 9) @ self.correctives.reshape(NUM_JOINTS - 1, 9, -1)
        corrected = corrected.reshape(count, NUM_JOINTS - 1, 3, -1, 3).transpose(0, 1, 3, 4, 2)
        turning[:, 1:] += self._blended(rotations)[:, None] @ corrected
        turning = turning.transpose(0, 2, 3, 1, 4).reshape(*rest.shape[:1], -1, 3, NUM_ANGLES)
        by_shape = self._skinned(
            np.repeat(rotations, NUM_SHAPES, axis=0),
            np.tile(self.shapes, (count, 1, 1)),
            np.tile(self.joint_regressor @ self.shapes, (count, 1, 1)),
        )
        by_shape = by_shape.reshape(count, NUM_SHAPES, -1, 3).transpose(0, 2, 3, 1)
        shift = np.broadcast_to(np.eye(3), (*by_shape.shape[:2], 3, 3))
        return np.concatenate([turning, by_shape, shift], axis=3)

    @cached_property
    def _beyond(self) -> np.ndarray:
        """(16, 16): 1 where a joint, the column, moves with another, the row."""
        beyond = np.eye(NUM_JOINTS)
        for joint in range(1, NUM_JOINTS):
            beyond[:, joint] += beyond[:, self.parents[joint]]
        return beyond

    def _rest(self, hands: ManoHands) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) before the skinning, and where the joints (N, 16, 3) are then."""
        shaped = self.vertices + np.tensordot(hands.shape, self.shapes, 1)
        turned = (hands.turns[:, 1:] - np.eye(3)).reshape(len(shaped), -1)
        return shaped + np.tensordot(turned, self.correctives, 1), self.joint_regressor @ shaped

    def _rotations(self, hands: ManoHands) -> np.ndarray:
        """Of the joints against the camera (N, 16, 3, 3)."""
        rotations = hands.turns.copy()
        for joint, parent in enumerate(self.parents[1:], 1):
            rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
        return rotations

    def _origins(self, rotations: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Where the joints (N, 16, 3) are when they are turned."""
        origins = joints.copy()
        for joint, parent in enumerate(self.parents[1:], 1):
            arm = joints[:, joint] - joints[:, parent]
            origins[:, joint] = origins[:, parent] + (rotations[:, parent] @ arm[..., None])[..., 0]
        return origins

    def _blended(self, rotations: np.ndarray) -> np.ndarray:
        """Linear blend (N, V, 3, 3) of the joints' rotations."""
        return (self.weights @ rotations.reshape(-1, NUM_JOINTS, 9)).reshape(len(rotations), -1, 3, 3)

    def _skinned(self, rotations: np.ndarray, rest: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Vertices (N, V, 3), linear in the vertices and joints at rest."""
        offsets = self._origins(rotations, joints) - (rotations @ joints[..., None])[..., 0]
        return (self._blended(rotations) @ rest[..., None])[..., 0] + self.weights @ offsets


def read_mano(path: Path) -> Mano:
    """Read a `MANO_RIGHT.pkl`, without chumpy and without running anything in it. Raises InputError."""
    data = load_arrays(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a MANO model; expected a MANO_RIGHT.pkl")
    count = np.shape(data.get("v_template", ()))[:1]
    shapes = {
        "v_template": (*count, 3),
        "shapedirs": (*count, 3, NUM_SHAPES),
        "posedirs": (*count, 3, 9 * (NUM_JOINTS - 1)),
        "J_regressor": (NUM_JOINTS, *count),
        "weights": (*count, NUM_JOINTS),
        "hands_mean": (NUM_ANGLES - 3,),
        "kintree_table": (2, NUM_JOINTS),
    }
    arrays = {name: _array(path, name, data.get(name, ""), shape) for name, shape in shapes.items()}
    if not count[0] > max(FREIHAND_TIP_VERTICES):
        raise InputError(f"{path}: has {count[0]} vertices, and MANO has 778")
    parents = (-1, *(int(parent) for parent in arrays["kintree_table"][0, 1:]))
    if not all(0 <= parent < joint for joint, parent in enumerate(parents[1:], 1)):
        raise InputError(f"{path}: kintree_table names a joint that comes after the one that hangs on it")
    return Mano(
        vertices=arrays["v_template"],
        shapes=np.ascontiguousarray(arrays["shapedirs"].transpose(2, 0, 1)),
        correctives=np.ascontiguousarray(arrays["posedirs"].transpose(2, 0, 1)),
        joint_regressor=arrays["J_regressor"],
        weights=arrays["weights"],
        mean_pose=np.concatenate([np.zeros(3), arrays["hands_mean"]]),
        parents=parents,
    )


def _array(path: Path, name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value.toarray() if sparse.issparse(value) else value).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {name} is missing or does not hold numbers; expected a MANO_RIGHT.pkl") from error
    if array.shape != shape or not np.isfinite(array).all():
        expected = " x ".join(map(str, shape))
        raise InputError(f"{path}: {name} is {array.shape}; expected {expected} finite numbers, as MANO has them")
    return array


def fit_mano(model: Mano, vertices_m: np.ndarray) -> tuple[ManoHands, np.ndarray]:
    """The hands whose meshes are nearest to vertices (N, V, 3), in least squares, and how far off their vertices are
    on average (N,), metres. Levenberg-Marquardt, all hands at a time, each with a damping of its own."""
    hands = _first_guess(model, vertices_m)
    residual = vertices_m - model.mesh(hands)
    damping = np.full(len(vertices_m), FIRST_DAMPING)
    for _ in range(MAX_STEPS):
        jacobian = model.derivatives(hands).reshape(len(vertices_m), -1, NUM_ANGLES + NUM_SHAPES + 3)
        transposed = jacobian.swapaxes(1, 2)
        normal = transposed @ jacobian
        diagonal = np.arange(normal.shape[1])
        normal[:, diagonal, diagonal] = normal[:, diagonal, diagonal] * (1 + damping[:, None]) + LEAST_CURVATURE
        step = np.linalg.solve(normal, transposed @ residual.reshape(len(residual), -1, 1))[..., 0]
        tried = hands.moved(step)
        left = vertices_m - model.mesh(tried)
        better = np.square(left).sum(axis=(1, 2)) < np.square(residual).sum(axis=(1, 2))
        hands, residual = tried.where(better, hands), np.where(better[:, None, None], left, residual)
        damping *= np.where(better, LESS, MORE)
        if np.abs(step).max() < CONVERGED:
            break
    return hands, np.linalg.norm(residual, axis=2).mean(axis=1)


def _first_guess(model: Mano, vertices_m: np.ndarray) -> ManoHands:
    """The mean hand in the mean pose, turned and moved to where vertices (N, V, 3) are."""
    mean = model.hands(np.zeros((len(vertices_m), NUM_ANGLES)), np.zeros((len(vertices_m), NUM_SHAPES)))
    mean.turns[:, 0], _ = nearest_similarity(model.mesh(mean), vertices_m)
    return ManoHands(mean.turns, mean.shape, (vertices_m - model.mesh(mean)).mean(axis=1))
