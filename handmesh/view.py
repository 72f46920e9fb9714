"""A hand's own camera: the picture's camera turned towards the hand, upright, and zoomed in.

Cutting an off-centre square out of a picture shows the hand as no camera would that looks at it; turning the camera
does, and what is found in the turned camera's frame goes back by a rotation, exactly.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from handmesh.joints import lean
from handmesh.warp import cut_square

CENTERINGS = 3  # the middle of a box in one camera is not quite that in another
LARGEST_ANGLE = np.deg2rad(80)


@dataclass(frozen=True)
class HandView:
    """A camera at the same place as the picture's that looks at a hand.

    Attributes:
        rotation: (3, 3), from the picture's camera frame to this one's.
        K: (3, 3) pixels of the crop.
        size: side of the crop in pixels.
        mirrored: left and right exchanged, to show a left hand as a right one.
    """

    rotation: np.ndarray
    K: np.ndarray
    size: int
    mirrored: bool

    @property
    def crop_intrinsics(self) -> np.ndarray:
        """Intrinsics (3, 3) of the crop as it is shown, mirrored or not."""
        K = self.K.copy()
        if self.mirrored:
            K[0, 2] = self.size - 1 - K[0, 2]
        return K

    def cut(self, image: np.ndarray, K: np.ndarray) -> np.ndarray:
        """What this camera sees (size, size, 3), black outside of the picture.

        Args:
            image: (H, W, 3) uint8, the picture; K: (3, 3) its intrinsics.
        """
        return cut_square(image, self._homography(K), self.size)

    def _homography(self, K: np.ndarray) -> np.ndarray:
        """Pixel of the picture to pixel of the crop (3, 3)."""
        flip = np.array([[-1, 0, self.size - 1], [0, 1, 0], [0, 0, 1.0]]) if self.mirrored else np.eye(3)
        return flip @ self.K @ self.rotation @ np.linalg.inv(K)

    def to_picture_frame(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) found in the crop, in the picture's camera frame."""
        return (points * [-1, 1, 1] if self.mirrored else points) @ self.rotation

    def to_picture(self, points_px: np.ndarray, K: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the crop as pixels of the picture."""
        points = np.asarray(points_px, np.float64)
        return cv2.perspectiveTransform(points.reshape(-1, 1, 2), np.linalg.inv(self._homography(K))).reshape(
            points.shape
        )


def view_of(landmarks_px: np.ndarray, K: np.ndarray, size: int, margin: float, mirrored: bool) -> HandView:
    """The camera that shows landmarks (21, 2) of a picture upright, in the middle, their box `1 / margin` of the side.

    Args:
        K: (3, 3) intrinsics of the picture.
        size: side of the crop in pixels.
        mirrored: show a left hand as a right one. The intrinsics stay, the principal point being in the middle.
    """
    homogeneous = np.column_stack([landmarks_px, np.ones(len(landmarks_px))])
    rays = homogeneous @ np.linalg.inv(K).T
    center = (rays[:, :2].min(axis=0) + rays[:, :2].max(axis=0)) / 2
    rotation = _looking_at(np.append(center, 1.0))
    for _ in range(CENTERINGS):
        rotation = _roll(lean(_flat(rays @ rotation.T))) @ rotation
        seen = _flat(rays @ rotation.T)
        low, high = seen.min(axis=0), seen.max(axis=0)
        rotation = _looking_at(np.append((low + high) / 2, 1.0)) @ rotation
    focal = size / (margin * max((high - low).max(), 1e-6))
    middle = (size - 1) / 2
    return HandView(rotation, np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]]), size, mirrored)


def _flat(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / np.maximum(points[:, 2:], np.cos(LARGEST_ANGLE))


def _looking_at(ray: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns a ray (3,) to the optical axis."""
    ray = ray / np.linalg.norm(ray)
    return cv2.Rodrigues(_axis_angle(ray, np.array([0.0, 0.0, 1.0])))[0]


def _axis_angle(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    return axis * (np.arctan2(sine, start @ end) / sine) if sine > 1e-12 else np.zeros(3)


def _roll(angle: float) -> np.ndarray:
    """Rotation (3, 3) about the optical axis that turns what leans clockwise by an angle upright."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
