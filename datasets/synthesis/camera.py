"""Cameras like FreiHAND's: 224 px crops of a larger image, a hand of about 100 px in the middle."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from handmesh.geometry import project

IMAGE_SIZE_PX = 224
HAND_PX = (72.0, 126.0)  # longer side of the hand's box; FreiHAND's evaluation crop of 130 px holds it
DISTANCE_M = (0.3, 1.2)
FOCAL_PX = (250.0, 1050.0)
CENTER_JITTER_PX = 4.0  # of the principal point
HAND_JITTER_PX = 9.0  # of the hand's box
VIEW_ATTEMPTS = 40
MARGIN_PX = 12.0  # the arm's end stays this far outside
STEEPEST = 0.72  # largest share of the way from the arm's end to the wrist that leads away from the camera
ALONG_CHANCE, ALONG_DEGREES = 0.1, 40.0  # views in which the arm lies behind the hand, as of a fist held out


@dataclass(frozen=True)
class View:
    """Where the hand is and what sees it.

    Attributes:
        rotation: (3, 3), palm frame to camera frame.
        translation: (3,) camera-space position of the palm frame's origin, the wrist; metres.
        K: (3, 3) pixels.
    """

    rotation: np.ndarray
    translation: np.ndarray
    K: np.ndarray

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the palm frame in the camera frame."""
        return points @ self.rotation.T + self.translation


def sample_view(
    rng: np.random.Generator,
    hand_vertices: np.ndarray,
    arm_end: np.ndarray,
    hand_px: tuple[float, float] = HAND_PX,
) -> View:
    """A view from any side, if possible one in which the arm neither ends in sight nor comes straight at the camera.

    Args:
        hand_vertices: (V, 3) of the posed hand in the palm's frame, metres.
        arm_end: (E, 3) the rim where the arm is cut off, likewise.
        hand_px: smallest and largest longer side of the hand's box.
    """
    along = rng.random() < ALONG_CHANCE
    for _ in range(VIEW_ATTEMPTS):
        view = _any_view(rng, hand_vertices, arm_end, hand_px, along)
        rim, hand = view.to_camera(arm_end), view.to_camera(hand_vertices)
        pixels, hand_pixels = project(rim, view.K), project(hand, view.K)
        inside = (pixels > -MARGIN_PX) & (pixels < IMAGE_SIZE_PX + MARGIN_PX)
        covered = (pixels > hand_pixels.min(axis=0)) & (pixels < hand_pixels.max(axis=0))
        in_sight = inside.all(axis=1) & (rim[:, 2] > 0)
        in_sight &= ~(covered.all(axis=1) & (rim[:, 2] > hand[:, 2].max()))
        towards = view.translation - rim.mean(axis=0)
        if not in_sight.any() and towards[2] < STEEPEST * np.linalg.norm(towards):
            break
    return view


def _any_view(
    rng: np.random.Generator, hand_vertices: np.ndarray, arm_end: np.ndarray, hand_px: tuple[float, float], along: bool
) -> View:
    """A view from any side or, where `along`, one that the arm leads away from."""
    rotation = Rotation.random(rng=rng)
    if along:
        axis = Rotation.from_rotvec(np.deg2rad(rng.uniform(0, ALONG_DEGREES)) * _flat_unit(rng)).apply([0, 0, 1.0])
        leads = rotation.apply(arm_end.mean(axis=0))
        rotation = Rotation.align_vectors([axis], [leads])[0] * rotation
    rotation = rotation.as_matrix()
    turned = hand_vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    extent = float((high - low)[:2].max())
    size = rng.uniform(*hand_px)
    depth = float(np.clip(rng.normal(0.68, 0.17), *DISTANCE_M))
    focal = float(np.clip(size * depth / extent, *FOCAL_PX))
    depth = float(np.clip(focal * extent / size, *DISTANCE_M))
    principal = (IMAGE_SIZE_PX - 1) / 2 + rng.uniform(-CENTER_JITTER_PX, CENTER_JITTER_PX, 2)
    middle = (IMAGE_SIZE_PX - 1) / 2 + rng.uniform(-HAND_JITTER_PX, HAND_JITTER_PX, 2)
    center = np.append((middle - principal) * depth / focal, depth)
    K = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1]])
    return View(rotation, center - (low + high) / 2, K)


def _flat_unit(rng: np.random.Generator) -> np.ndarray:
    """A unit vector (3,) across the optical axis."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), 0.0])
