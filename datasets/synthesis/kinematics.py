"""Forward kinematics of the open hand, compiled by numba: joint angles to bone transforms.

`contact.py` compiles these functions into its own, and numba does not notice a change here: clear `__pycache__` then.
"""

import numba
import numpy as np

from datasets.synthesis.skeleton import PARENTS


@numba.njit(cache=True)
def rotate_about(rotation: np.ndarray, axis: np.ndarray, angle: float) -> None:
    """Multiply a matrix (3, 3) from the right, in place, with the rotation by `angle` radians about a unit axis."""
    sine, rest = np.sin(angle), 1 - np.cos(angle)
    x, y, z = axis[0], axis[1], axis[2]
    for row in range(3):
        a, b, c = rotation[row, 0], rotation[row, 1], rotation[row, 2]
        # Rodrigues: v + sin (v x axis) + (1 - cos) ((v . axis) axis - v) for the row v
        along = a * x + b * y + c * z
        rotation[row, 0] = a + sine * (b * z - c * y) + rest * (along * x - a)
        rotation[row, 1] = b + sine * (c * x - a * z) + rest * (along * y - b)
        rotation[row, 2] = c + sine * (a * y - b * x) + rest * (along * z - c)


@numba.njit(cache=True)
def fill_transforms(
    angles: np.ndarray, joints: np.ndarray, axes: np.ndarray, parents: np.ndarray, transforms: np.ndarray
) -> None:
    """`bone_transforms` into an array that is there already. Called thousands of times a pose: nothing is allocated."""
    rotation = np.empty((3, 3))
    for bone in range(len(angles)):
        parent = parents[bone]
        for row in range(3):
            for column in range(3):
                rotation[row, column] = 1.0 * (row == column) if parent < 0 else transforms[parent, row, column]
        for axis in (1, 0, 2):  # abduction after flexion after twist
            if angles[bone, axis] != 0:
                rotate_about(rotation, axes[bone, axis], angles[bone, axis])
        for row in range(3):
            moved = 0.0  # the joint stays where the parent takes it
            for column in range(3):
                above = 1.0 * (row == column) if parent < 0 else transforms[parent, row, column]
                moved += (above - rotation[row, column]) * joints[bone, column]
                transforms[bone, row, column] = rotation[row, column]
            transforms[bone, row, 3] = moved if parent < 0 else moved + transforms[parent, row, 3]


def bone_transforms(angles: np.ndarray, joints: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Where each bone goes.

    Args:
        angles: (B, 3) flexion, abduction and twist in radians.
        joints: (B, 3) where each bone begins at rest, metres.
        axes: (B, 3, 3) unit axes of the three angles at rest.

    Returns:
        (B, 3, 4) affine maps from the rest pose to the posed hand, in the frame of the palm.
    """
    transforms = np.empty((len(angles), 3, 4))
    fill_transforms(np.float64(angles), np.float64(joints), np.float64(axes), PARENTS, transforms)
    return transforms


def skin(vertices: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Linear blend skinning: (V, 3) float32 vertices at rest, (V, B) weights, (B, 3, 4) transforms to (V, 3)."""
    blended = (weights @ transforms.reshape(len(transforms), 12).astype(np.float32)).reshape(-1, 3, 4)
    return np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]


def move_points(points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Points (N, 3), each moved by its own transform (N, 3, 4)."""
    return np.einsum("nij,nj->ni", transforms[:, :, :3], points) + transforms[:, :, 3]
