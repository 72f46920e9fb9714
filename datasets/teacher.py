"""What MediaPipe's landmark network says of a hand on average over several looks, as joints of the open hand.

One look errs at random by more than several do together, and how far they are apart tells good labels from bad ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from handmesh.detector import FoundHand, HandDetector, roi_around
from handmesh.joints import BONES, NUM_JOINTS, palm_frames

LOOKS_DEGREES = (0.0, -20.0, 20.0)  # turned by so much, each also mirrored


@dataclass(frozen=True)
class TaughtHand:
    """A hand of a picture.

    Attributes:
        landmarks_px: (21, 2), MediaPipe's joints.
        spread: mean distance of a look's landmarks from the average, of the longer side of their box.
        presence: 0 to 1, that this is a hand, and right: 0 to 1, that it is a right one; averages.
    """

    landmarks_px: np.ndarray
    spread: float
    presence: float
    right: float


def averaged_landmarks(detector: HandDetector, image: np.ndarray, around_px: np.ndarray) -> TaughtHand:
    """Look at the hand whose landmarks (21, 2) are about these, several times.

    Args:
        image: (H, W, 3) RGB uint8.
    """
    roi = roi_around(around_px)
    last = image.shape[1] - 1
    flipped = cv2.flip(image, 1)
    looks: list[FoundHand] = []
    points = []
    for degrees in LOOKS_DEGREES:
        turned = replace(roi, angle=roi.angle + np.deg2rad(degrees))
        looks.append(detector.landmarks(image, turned))
        points.append(looks[-1].landmarks_px)
        center = turned.center_px * [-1, 1] + [last, 0]
        mirrored = detector.landmarks(flipped, replace(turned, center_px=center, angle=-turned.angle))
        looks.append(FoundHand(mirrored.landmarks_px, mirrored.presence, 1 - mirrored.right, None))
        points.append(mirrored.landmarks_px * [-1, 1] + [last, 0])
    middle = np.mean(points, axis=0)
    spread = np.linalg.norm(points - middle, axis=2).mean() / np.ptp(middle, axis=0).max()
    presence, right = (float(np.mean([getattr(look, name) for look in looks])) for name in ("presence", "right"))
    return TaughtHand(middle, float(spread), presence, right)


def joint_frames(joints_m: np.ndarray) -> np.ndarray:
    """Directions (N, 21, 3, 4) at joints (N, 21, 3), in the columns: those of `palm_frames`, and the bone that ends
    there."""
    bones = np.zeros_like(joints_m)
    for parent, child in BONES:
        bones[:, child] = joints_m[:, child] - joints_m[:, parent]
    return np.concatenate([np.repeat(palm_frames(joints_m)[:, None], NUM_JOINTS, axis=1), bones[..., None]], axis=-1)


def fit_offsets(landmarks_px: Sequence[np.ndarray], joints_m: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Where MediaPipe's joints are, seen from ours: (21, 4) along the directions of `joint_frames`.

    Args:
        landmarks_px: N times (21, 2), of MediaPipe; joints_m: (N, 21, 3) ours, camera frame; K: (N, 3, 3).
    """
    rows = _pixels_per_offset(joints_m, K)
    seen = np.einsum("nij,npj->npi", K, joints_m)
    off = np.asarray(landmarks_px) - seen[..., :2] / seen[..., 2:]
    size = np.ptp(seen[..., :2] / seen[..., 2:], axis=1).max(axis=1)[:, None, None]
    rows, off = rows / size[..., None], off / size
    kept = np.linalg.norm(off, axis=2).max(axis=1) < 0.25  # the others were not seen right
    pairs = [(rows[kept, joint].reshape(-1, 4), off[kept, joint].ravel()) for joint in range(NUM_JOINTS)]
    return np.array([np.linalg.lstsq(directions, pixels, rcond=1e-6)[0] for directions, pixels in pairs])


def as_our_joints(landmarks_px: np.ndarray, offsets: np.ndarray, joints_m: np.ndarray, K: np.ndarray) -> np.ndarray:
    """MediaPipe's landmarks (N, 21, 2) moved to where our joints are, of hands that are about joints_m (N, 21, 3)."""
    return landmarks_px - np.einsum("npik,pk->npi", _pixels_per_offset(joints_m, K), offsets)


def _pixels_per_offset(joints_m: np.ndarray, K: np.ndarray) -> np.ndarray:
    """How far in pixels (N, 21, 2, 4) a joint moves with an offset along each direction of `joint_frames`."""
    depth = joints_m[..., 2][..., None, None]
    ray = (joints_m / joints_m[..., 2:])[..., None] * np.array([0, 0, 1.0])  # (N, 21, 3, 3)
    by_point = K[:, None, :2] @ (np.eye(3) - ray) / depth
    return by_point @ joint_frames(joints_m)
