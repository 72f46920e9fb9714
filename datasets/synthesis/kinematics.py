"""Forward kinematics of the open hand: joint angles to bone transforms, and skin to where they take it."""

import numpy as np

from datasets.synthesis.settling import fill_transforms
from handmesh.skeleton import PARENTS


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
