"""The open hand: a skinned surface of hand and arm with a linear space of shapes (`template/open_hand/hand.npz`)."""

import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from handmesh.errors import InputError
from handmesh.skeleton import BONE_INDEX, NUM_BONES
from utils.template import OPEN_HAND, ROOT

HAND_FILE = ROOT / OPEN_HAND / "hand.npz"


@dataclass(frozen=True)
class OpenHand:
    """A right hand and its arm at rest. Frame: wrist at the origin, x towards the thumb's side, y towards the middle
    knuckle, z out of the palm; metres. The faces and vertices of the hand come first, those of the arm after them.

    Attributes:
        vertices: (V, 3) float32, the mean adult hand.
        faces: (F, 3) int32, outward.
        uv: (F, 3, 2) float32, texture coordinates of the corners in the MakeHuman layout, v downwards.
        num_hand_vertices: vertices up to the cut behind the wrist.
        num_hand_faces: faces among them.
        model_vertices: indices of the template's vertices.
        weights: (V, B) float32 skinning weights.
        joints: (B, 3) float32, where each bone begins.
        tips: (5, 3) float32, finger tips on the skin, thumb to little.
        axes: (B, 3, 3) float32, unit axes of flexion, abduction and twist in the rows.
        shape_names: (S,) names of the shape parameters.
        shape_ranges: (S, 2) float32, sensible smallest and largest coefficient; 0 is the mean hand.
        shape_vertices: (S, V, 3) float32, displacement of the vertices per unit of each parameter.
        shape_joints: (S, B, 3) float32, likewise of the joints.
        shape_tips: (S, 5, 3) float32, likewise of the finger tips.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    num_hand_vertices: int
    num_hand_faces: int
    model_vertices: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    tips: np.ndarray
    axes: np.ndarray
    shape_names: tuple[str, ...]
    shape_ranges: np.ndarray
    shape_vertices: np.ndarray
    shape_joints: np.ndarray
    shape_tips: np.ndarray

    @cached_property
    def length_m(self) -> float:
        """From the wrist to the tip of the middle finger, along the bones of the mean hand at rest."""
        return float(bone_length(self.joints, self.tips))

    @cached_property
    def face_normals(self) -> np.ndarray:
        """Unit normals (F, 3) of the mean hand at rest."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    @cached_property
    def arm_end(self) -> np.ndarray:
        """Vertices (E,) of the rim where the arm is cut off."""
        edges = np.concatenate([self.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
        undirected, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
        return np.unique(undirected[count == 1])

    def shaped(self, coefficients: np.ndarray, length_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (V, 3), joints (B, 3) and tips (5, 3) of a person's hand at rest.

        Args:
            coefficients: (S,) shape parameters.
            length_m: from the wrist to the middle tip.
        """
        coefficients = np.asarray(coefficients, np.float32)
        vertices = self.vertices + np.tensordot(coefficients, self.shape_vertices, 1)
        joints = self.joints + np.tensordot(coefficients, self.shape_joints, 1)
        tips = self.tips + np.tensordot(coefficients, self.shape_tips, 1)
        scale = np.float32(length_m / bone_length(joints, tips))
        return vertices * scale, joints * scale, tips * scale


def bone_length(joints: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """Length (...) of a hand from the wrist to the middle tip, along the bones.

    Args:
        joints: (..., B, 3); tips: (..., 5, 3).
    """
    chain = [joints[..., BONE_INDEX[name], :] for name in ("wrist", "middle_1", "middle_2", "middle_3")]
    chain.append(tips[..., 2, :])
    return sum(((b - a) ** 2).sum(-1) ** 0.5 for a, b in pairwise(chain))


def load_open_hand(path: Path = HAND_FILE) -> OpenHand:
    """Read the hand. Raises InputError if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {item.name: data[item.name] for item in fields(OpenHand)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); it is part of the repository, `git checkout {OPEN_HAND}` restores it"
        ) from error
    arrays["num_hand_vertices"] = int(arrays["num_hand_vertices"])
    arrays["num_hand_faces"] = int(arrays["num_hand_faces"])
    arrays["shape_names"] = tuple(map(str, arrays["shape_names"]))
    hand = OpenHand(**arrays)
    if hand.weights.shape != (len(hand.vertices), NUM_BONES):
        raise InputError(f"{path}: {hand.weights.shape[1]} bones, expected {NUM_BONES}; rebuild it, see its README")
    return hand
