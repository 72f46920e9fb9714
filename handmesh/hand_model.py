"""The open hand as a model: from joint angles, shape and size to joints and vertices, with derivatives.

The data of `template/open_hand`, as far as this needs it, and how the generator's people move and are built.
`scripts/build_hand_model.py` writes the file.
"""

from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np

from handmesh.files import read_arrays
from handmesh.joints import NUM_JOINTS
from handmesh.runtime import DATA
from handmesh.skeleton import ABDUCTION, FLEXION, FREE, NUM_BONES, PARENTS, TWIST

HAND_MODEL = DATA / "hand_model.npz"
VERTEX_STEP = 12  # every so many vertices take part in a fit


def _depth(bone: int) -> int:
    return 0 if bone <= 0 else 1 + _depth(PARENTS[bone])


LEVELS = [[bone for bone in range(NUM_BONES) if _depth(bone) == depth] for depth in range(5)]
"""Bones by how many are between them and the wrist."""


def _moves() -> np.ndarray:
    moves = np.eye(NUM_BONES)
    for bone in range(1, NUM_BONES):
        moves[:, bone] += moves[:, PARENTS[bone]]
    return moves


MOVES = _moves()
"""(B, B): 1 where a bone, the column, moves with another, the row."""


@dataclass(frozen=True)
class Posture:
    """How N hands are held and built, without where they are.

    Attributes:
        angles: (N, D) radians, of `handmesh.skeleton.FREE`.
        shape: (N, S) coefficients.
    """

    angles: np.ndarray
    shape: np.ndarray


@dataclass(frozen=True)
class Bones:
    """Bones of N posed hands in the palm's frame, of the size of the mean hand.

    Attributes:
        rotations: (N, B, 3, 3) and offsets (N, B, 3), from the rest pose.
        axes: (N, B, 3, 3), unit axes of flexion, abduction and twist as the pose turns them, in the rows.
    """

    rotations: np.ndarray
    offsets: np.ndarray
    axes: np.ndarray


@dataclass(frozen=True)
class HandModel:
    """A right hand. Frame: wrist at the origin, x towards the thumb's side, y towards the middle knuckle, z out of the
    palm; metres.

    Attributes:
        vertices: (V, 3), the mean adult hand at rest.
        faces: (F, 3), outward.
        joint_regressor: (21, V), joints in FreiHAND order.
        weights: (V, B), of the skinning.
        joints: (B, 3), where each bone begins.
        axes: (B, 3, 3), unit axes of flexion, abduction and twist in the rows.
        shape_vertices: (S, V, 3) and shape_joints (S, B, 3), their change with the shape.
        shape_ranges: (S, 2), sensible smallest and largest coefficients.
        pose_mean, pose_precision: (D,) and (D, D), of the angles of people's hands; inverse covariance.
        shape_mean, shape_precision: (S,) and (S, S), of the shapes.
        template_digest: of the template whose vertices these are.
    """

    vertices: np.ndarray
    faces: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    axes: np.ndarray
    shape_vertices: np.ndarray
    shape_joints: np.ndarray
    shape_ranges: np.ndarray
    pose_mean: np.ndarray
    pose_precision: np.ndarray
    shape_mean: np.ndarray
    shape_precision: np.ndarray
    template_digest: str

    @cached_property
    def mixture(self) -> np.ndarray:
        """(P, V): what `points` returns, the 21 joints and then some vertices, from all vertices."""
        return np.concatenate([self.joint_regressor, np.eye(len(self.vertices))[::VERTEX_STEP]])

    @cached_property
    def mean_points(self) -> np.ndarray:
        """The points of `mixture` (P, 3) of the mean hand in the mean pose."""
        return self.points(Posture(self.pose_mean[None], self.shape_mean[None]))[0][0]

    @cached_property
    def _arms(self) -> np.ndarray:
        """(1 + S, B, P, 3): what the rotation of each bone carries of a point, at rest and its change with the shape.

        Points are sums of rotated arms and of where the wrist is: skinning turns a vertex about the bone's beginning,
        and that is where the bones before it have carried it.
        """
        vertices = np.concatenate([self.vertices[None], self.shape_vertices])
        joints = np.concatenate([self.joints[None], self.shape_joints])
        arms = np.einsum("pv,vb,svi->sbpi", self.mixture, self.weights, vertices, optimize=True)
        reach = MOVES @ (self.mixture @ self.weights).T  # (B, P), share of a point that moves with a bone
        arms -= reach[..., None] * joints[:, :, None]
        for bone in range(1, NUM_BONES):
            arms[:, PARENTS[bone]] += reach[bone][:, None] * joints[:, bone, None]
        return arms

    @cached_property
    def _carried(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which bones carry which points (B, P), the arms of these alone (A, 3), and their change with the shape
        (S, 3 A)."""
        carried = np.asarray(self._arms.any(axis=(0, 3)))
        return carried, self._arms[0, carried], self._arms[1:, carried].reshape(len(self._arms) - 1, -1)

    @cached_property
    def _shape_arms(self) -> np.ndarray:
        """(S P, B 3): their change with the shape, so that one product turns it all."""
        return np.ascontiguousarray(self._arms[1:].transpose(0, 2, 1, 3)).reshape(-1, 3 * NUM_BONES)

    @cached_property
    def _wrist(self) -> np.ndarray:
        """(1 + S, 1, 3): where the wrist is, at rest and its change with the shape."""
        return np.concatenate([self.joints[None, :1], self.shape_joints[:, :1]])

    @cached_property
    def _turns(self) -> np.ndarray:
        """(2, B, 3, 3, 3): of each axis, the matrices that a turn about it has times its sine, and times 1 less its
        cosine."""
        cross = cross_matrices(self.axes / np.linalg.norm(self.axes.astype(np.float64), axis=2, keepdims=True))
        return np.stack([cross, cross @ cross])

    def rest(self, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (..., V, 3) and origins of the bones (..., B, 3) at rest of hands of shapes (..., S)."""
        vertices = self.vertices + np.tensordot(shape, self.shape_vertices, 1)
        return vertices, self.joints + np.tensordot(shape, self.shape_joints, 1)

    def bones(self, posture: Posture) -> Bones:
        """Forward kinematics."""
        count = len(posture.angles)
        angles = np.zeros((count, NUM_BONES, 3))
        angles[:, FREE[:, 0], FREE[:, 1]] = posture.angles
        angles *= np.linalg.norm(self.axes.astype(np.float64), axis=2)  # 1 in single precision only
        rest = self.joints + np.tensordot(posture.shape, self.shape_joints, 1)
        sine, cosine = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
        turns = np.eye(3) + sine * self._turns[0] + (1 - cosine) * self._turns[1]  # (N, B, 3 axes, 3, 3)
        outer = turns[:, :, ABDUCTION]  # abduction after flexion after twist
        middle = outer @ turns[:, :, FLEXION]
        rotations = middle @ turns[:, :, TWIST]
        above = np.empty_like(rotations)
        above[:, 0] = np.eye(3)
        for level in LEVELS[1:]:
            above[:, level] = rotations[:, PARENTS[level]]
            rotations[:, level] = above[:, level] @ rotations[:, level]
        offsets = MOVES.T @ ((above - rotations) @ rest[..., None])[..., 0]
        axes = np.empty((count, NUM_BONES, 3, 3))
        axes[:, :, ABDUCTION] = self.axes[:, ABDUCTION]
        axes[:, :, FLEXION] = (outer @ self.axes[:, FLEXION, :, None])[..., 0]
        axes[:, :, TWIST] = (middle @ self.axes[:, TWIST, :, None])[..., 0]
        return Bones(rotations, offsets, axes @ above.swapaxes(2, 3))

    def pose(self, posture: Posture) -> np.ndarray:
        """Vertices (N, V, 3), linear blend skinning."""
        bones = self.bones(posture)
        rest, _ = self.rest(posture.shape)
        blended = np.einsum("vb,nbij->nvij", self.weights, bones.rotations, optimize=True)
        return np.einsum("nvij,nvj->nvi", blended, rest) + self.weights @ bones.offsets

    def points(self, posture: Posture) -> tuple[np.ndarray, np.ndarray]:
        """The points of `mixture` (N, P, 3) in the palm's frame, and their derivatives (N, D + S, P, 3) with angles and
        shape."""
        bones = self.bones(posture)
        count, points, moved = len(posture.angles), *self._moved(posture, bones)
        beyond = (MOVES[FREE[:, 0]] @ moved.reshape(count, NUM_BONES, -1)).reshape(count, len(FREE), -1, 3)
        turning = beyond @ -cross_matrices(bones.axes[:, FREE[:, 0], FREE[:, 1]])  # the axis times what it moves
        shift = self._shape_arms @ bones.rotations.swapaxes(2, 3).reshape(count, -1, 3)
        shift = shift.reshape(count, *self._arms[1:, 0].shape) + self._wrist[1:]
        return points, np.concatenate([turning, shift], axis=1)

    def regressed_joints(self, posture: Posture) -> np.ndarray:
        """The joints (N, 21, 3) in FreiHAND order, in the palm's frame, without a mesh."""
        return self._moved(posture, self.bones(posture))[0][:, :NUM_JOINTS]

    def _moved(self, posture: Posture, bones: Bones) -> tuple[np.ndarray, np.ndarray]:
        """The points of `mixture` (N, P, 3) in the palm's frame, and what each bone adds to them (N, B, P, 3)."""
        carried, rest, change = self._carried
        arms = np.zeros((len(posture.angles), *carried.shape, 3))
        arms[:, carried] = rest + (posture.shape @ change).reshape(len(arms), -1, 3)
        moved = arms @ bones.rotations.swapaxes(2, 3)
        return moved.sum(axis=1) + self._wrist[0] + np.tensordot(posture.shape, self._wrist[1:], 1), moved


@cache
def load_hand_model() -> HandModel:
    """The model that comes with this package. Raises InputError if its file is damaged."""
    arrays = read_arrays(HAND_MODEL)
    values: dict[str, Any] = {item.name: arrays[item.name] for item in fields(HandModel)}
    return HandModel(**values | {"template_digest": str(values["template_digest"])})


def rotation_matrices(vectors: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of rotation vectors (..., 3)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = cross_matrices(vectors)
    safe = np.maximum(angle, 1e-9)
    return np.eye(3) + np.sin(safe) / safe * cross + (1 - np.cos(safe)) / safe**2 * (cross @ cross)


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """The rotation vector (3,) of a matrix (3, 3)."""
    return cv2.Rodrigues(matrix)[0].ravel()


def quaternions(vectors: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4), w, x, y, z, of rotation vectors (..., 3)."""
    angles = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angles / 2), vectors * np.sinc(angles / (2 * np.pi)) / 2], axis=-1)


def quaternion_matrix(quaternion: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) of a quaternion (4,) of any length."""
    sine = np.linalg.norm(quaternion[1:])
    angle = 2 * np.arctan2(sine, quaternion[0])
    return rotation_matrices(quaternion[1:] * (angle / max(sine, 1e-12)))


def cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) that multiply as the cross product with vectors (..., 3) from the left."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape, 3)
