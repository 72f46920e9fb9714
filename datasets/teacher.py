"""What MediaPipe's landmark network says of a hand on average over several looks, as joints of the open hand.

One look errs at random by more than several do together, and how far they are apart tells good labels from bad ones.
So it is with two networks: the mean of ours and of this one is nearer to the truth than either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from handmesh.detector import LANDMARK_PX, HandDetector, roi_around
from handmesh.joints import BONES, NUM_JOINTS, palm_frames
from handmesh.palm import Roi
from handmesh.pose import nearest_similarity

LOOKS_DEGREES = (0.0, -20.0, 20.0)  # turned by so much, each also mirrored
# Of the landmarks with their depth and of the world landmarks in the mean with our joints: on photos with known joints
# the mean is nearest to them between 0.1 and 0.3 each, and little changes there.
SHARES = np.array([0.2, 0.2])


@dataclass(frozen=True)
class TaughtHand:
    """A hand of a picture.

    Attributes:
        landmarks_px: (21, 2), MediaPipe's joints.
        shapes: (2, 21, 3), the same in 3D, from the wrist, axes of the picture, up to scale: the landmarks with their
            depth, and the network's world landmarks.
        spread: mean distance of a look's landmarks from the average, of the longer side of their box.
        presence: 0 to 1, that this is a hand, and right: 0 to 1, that it is a right one; averages.
    """

    landmarks_px: np.ndarray
    shapes: np.ndarray
    spread: float
    presence: float
    right: float

    def mirrored(self, width: int) -> "TaughtHand":
        """The same in the mirrored picture, which is so many pixels wide."""
        return replace(
            self,
            landmarks_px=self.landmarks_px * [-1, 1] + [width - 1, 0],
            shapes=self.shapes * [-1, 1, 1],
            right=1 - self.right,
        )


def averaged_landmarks(detector: HandDetector, image: np.ndarray, around_px: np.ndarray) -> TaughtHand:
    """Look at the hand whose landmarks (21, 2) are about these, several times.

    Args:
        image: (H, W, 3) RGB uint8.
    """
    roi = roi_around(around_px)
    last = image.shape[1] - 1
    flipped = cv2.flip(image, 1)
    looks = []
    for degrees in LOOKS_DEGREES:
        turned = replace(roi, angle=roi.angle + np.deg2rad(degrees))
        looks.append(_look(detector, image, turned))
        center = turned.center_px * [-1, 1] + [last, 0]
        look = _look(detector, flipped, replace(turned, center_px=center, angle=-turned.angle))
        looks.append(look.mirrored(image.shape[1]))
    landmarks, shapes, presence, right = (
        np.mean([getattr(look, name) for look in looks], axis=0)
        for name in ("landmarks_px", "shapes", "presence", "right")
    )
    apart = np.linalg.norm([look.landmarks_px - landmarks for look in looks], axis=2).mean()
    return TaughtHand(landmarks, shapes, float(apart / np.ptp(landmarks, axis=0).max()), float(presence), float(right))


def _look(detector: HandDetector, image: np.ndarray, roi: Roi) -> TaughtHand:
    """What the network says of a square, once."""
    found = detector.outputs(image, roi)
    shapes = np.stack([found[name].reshape(NUM_JOINTS, 3) for name in ("landmarks", "world")])
    landmarks = roi.to_picture(shapes[0, :, :2] - 0.5, LANDMARK_PX)
    cosine, sine = np.cos(roi.angle), np.sin(roi.angle)
    to_picture = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    shapes = (shapes - shapes[:, :1]) @ to_picture.T
    return TaughtHand(landmarks, shapes, 0.0, float(found["presence"].item()), float(found["right"].item()))


def mean_joints(joints_m: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means (N, 21, 3) of our joints and of what MediaPipe's network says of the same hands, in the place and scale
    of ours, and how far apart they are (N,), metres.

    Its joints are elsewhere on a hand than ours. In the palm's frame they are moved by what they differ by in the
    median over all hands.

    Args:
        joints_m: (N, 21, 3), camera frame; shapes: (N, 2, 21, 3), see `TaughtHand`.
    """
    mean, apart = (1 - SHARES.sum()) * joints_m, np.zeros(len(joints_m))
    for share, said in zip(SHARES, shapes.swapaxes(0, 1), strict=True):
        placed = _placed(said, joints_m)
        frames = palm_frames(placed)
        off = np.linalg.solve(frames[:, None], (joints_m - placed)[..., None])[..., 0]
        placed = _placed(placed + np.einsum("nij,pj->npi", frames, np.median(off, axis=0)), joints_m)
        mean = mean + share * placed
        apart += np.linalg.norm(placed - joints_m, axis=2).mean(axis=1) / len(SHARES)
    return mean, apart


def _placed(joints: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Joints (N, 21, 3) turned, scaled and moved to where others are."""
    rotations, scales = nearest_similarity(joints, targets)
    placed = scales[:, None, None] * (joints - joints.mean(axis=1, keepdims=True)) @ rotations.swapaxes(1, 2)
    return placed + targets.mean(axis=1, keepdims=True)


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
