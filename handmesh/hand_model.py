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
from handmesh.runtime import DATA
from handmesh.skeleton import ABDUCTION, FLEXION, FREE, NUM_BONES, PARENTS, TWIST

HAND_MODEL = DATA / "hand_model.npz"
VERTEX_STEP = 12  # every so many vertices take part in a fit


def _depth(bone: int) -> int:
    return 0 if bone <= 0 else 1 + _depth(PARENTS[bone])


LEVELS = [[bone for bone in range(NUM_BONES) if _depth(bone) == depth] for depth in range(5)]
"""Bones by how many are between them and the wrist."""


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
        rest_joints: (N, B, 3), where each begins at rest.
        axes: (N, B, 3, 3), unit axes of flexion, abduction and twist as the pose turns them, in the rows.
    """

    rotations: np.ndarray
    offsets: np.ndarray
    rest_joints: np.ndarray
    axes: np.ndarray

    @property
    def origins(self) -> np.ndarray:
        """Where each bone begins (N, B, 3)."""
        return np.einsum("nbij,nbj->nbi", self.rotations, self.rest_joints) + self.offsets


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
    def _parts(self) -> np.ndarray:
        """(P, B, 4): what each bone carries of a point, a skinning weight times the rest position and 1, summed over
        the vertices that the point is a mixture of."""
        rest = np.column_stack([self.vertices, np.ones(len(self.vertices))])
        return np.einsum("pv,vb,vi->pbi", self.mixture, self.weights, rest, optimize=True)

    @cached_property
    def _shape_parts(self) -> np.ndarray:
        """(S, P, B, 3): change of the parts with the shape."""
        return np.einsum("pv,vb,svi->spbi", self.mixture, self.weights, self.shape_vertices, optimize=True)

    @cached_property
    def _beyond(self) -> np.ndarray:
        """(D, B): which bones an angle moves."""
        beyond = np.zeros((NUM_BONES, NUM_BONES))
        for bone in range(NUM_BONES):
            above = bone
            while above >= 0:
                beyond[above, bone] = 1
                above = PARENTS[above]
        return beyond[FREE[:, 0]]

    def rest(self, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (..., V, 3) and origins of the bones (..., B, 3) at rest of hands of shapes (..., S)."""
        vertices = self.vertices + np.tensordot(shape, self.shape_vertices, 1)
        return vertices, self.joints + np.tensordot(shape, self.shape_joints, 1)

    def bones(self, posture: Posture) -> Bones:
        """Forward kinematics."""
        count = len(posture.angles)
        angles = np.zeros((count, NUM_BONES, 3))
        angles[:, FREE[:, 0], FREE[:, 1]] = posture.angles
        rest = self.joints + np.tensordot(posture.shape, self.shape_joints, 1)
        turns = rotation_matrices(self.axes * angles[..., None])  # (N, B, 3 axes, 3, 3)
        outer = turns[:, :, ABDUCTION]  # abduction after flexion after twist
        middle = outer @ turns[:, :, FLEXION]
        local = middle @ turns[:, :, TWIST]
        rotations, offsets = np.empty((count, NUM_BONES, 3, 3)), np.zeros((count, NUM_BONES, 3))
        above = np.broadcast_to(np.eye(3), rotations.shape).copy()
        for level in LEVELS:
            if level != [0]:
                above[:, level] = rotations[:, PARENTS[level]]
                offsets[:, level] = offsets[:, PARENTS[level]]
            rotations[:, level] = above[:, level] @ local[:, level]
            offsets[:, level] += np.einsum("nbij,nbj->nbi", above[:, level] - rotations[:, level], rest[:, level])
        axes = np.empty((count, NUM_BONES, 3, 3))
        for axis, turned in ((ABDUCTION, above), (FLEXION, above @ outer), (TWIST, above @ middle)):
            axes[:, :, axis] = np.einsum("nbij,bj->nbi", turned, self.axes[:, axis])
        return Bones(rotations, offsets, rest, axes)

    def pose(self, posture: Posture) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and origins of the bones (N, B, 3), linear blend skinning."""
        bones = self.bones(posture)
        rest, _ = self.rest(posture.shape)
        blended = np.einsum("vb,nbij->nvij", self.weights, bones.rotations, optimize=True)
        vertices = np.einsum("nvij,nvj->nvi", blended, rest) + self.weights @ bones.offsets
        return vertices, bones.origins

    def points(self, posture: Posture) -> tuple[np.ndarray, np.ndarray]:
        """The points of `mixture` (N, P, 3) in the palm's frame, and their derivatives (N, P, 3, D + S) with angles and
        shape."""
        bones = self.bones(posture)
        rest = self._parts[..., :3] + np.tensordot(posture.shape, self._shape_parts, 1)  # (N, P, B, 3)
        share = self._parts[..., 3]  # (P, B)
        moved = (rest.transpose(0, 2, 1, 3) @ bones.rotations.swapaxes(2, 3)).transpose(0, 2, 1, 3)
        moved += bones.offsets[:, None] * share[..., None]
        arms = self._beyond @ moved - (share @ self._beyond.T)[..., None] * bones.origins[:, None, FREE[:, 0]]
        turning = np.cross(bones.axes[:, None, FREE[:, 0], FREE[:, 1]], arms)  # (N, P, D, 3)
        tilt = np.zeros((*bones.offsets.shape[:2], len(self.shape_joints), 3))  # of the offsets with the shape
        for level in LEVELS:
            above = np.eye(3) if level == [0] else bones.rotations[:, PARENTS[level]]
            joints = self.shape_joints[:, level].swapaxes(0, 1)
            tilt[:, level] = joints @ (above - bones.rotations[:, level]).swapaxes(2, 3)
            tilt[:, level] += 0 if level == [0] else tilt[:, PARENTS[level]]
        rotated = self._shape_parts.transpose(2, 0, 1, 3)[None] @ bones.rotations.swapaxes(2, 3)[:, :, None]
        shift = rotated.sum(axis=1)  # (N, S, P, 3)
        shift += np.einsum("pb,nbsi->nspi", share, tilt, optimize=True)
        derivatives = np.concatenate([turning.swapaxes(2, 3), shift.transpose(0, 2, 3, 1)], axis=3)
        return moved.sum(axis=2), derivatives


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
