"""A hand's own camera: the picture's camera turned towards the hand, upright, and zoomed in.

Cutting an off-centre square out of a picture shows the hand as no camera would that looks at it; turning the camera
does, and what is found in the turned camera's frame goes back by a rotation, exactly.
"""

from dataclasses import dataclass

import cv2
import numpy as np

WRIST, MIDDLE_KNUCKLE = 0, 9
CENTERINGS = 3  # the middle of a box in one camera is not quite that in another
FINE_ENOUGH = 0.6  # sides of picture pixels below this many crop pixels are averaged first
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

    def cut(self, image: np.ndarray, K: np.ndarray) -> np.ndarray:
        """What this camera sees (size, size, 3), black outside of the picture.

        Args:
            image: (H, W, 3) uint8, the picture; K: (3, 3) its intrinsics.
        """
        to_crop = self._homography(K)
        corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64) * (self.size - 1)
        corners = cv2.perspectiveTransform(corners[None], np.linalg.inv(to_crop))[0]
        height, width = image.shape[:2]
        low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1])
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 3, low + 1, [width, height])
        part = image[low[1] : high[1], low[0] : high[0]]
        scale = self.size / max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[0]))
        shrink = scale / FINE_ENOUGH
        placed = np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1.0]])
        if shrink < 1:
            size = np.maximum(np.rint((high - low) * shrink), 1).astype(int)
            part = cv2.resize(part, size.tolist(), interpolation=cv2.INTER_AREA)
            step = (high - low) / size
            placed = placed @ np.array([[step[0], 0, (step[0] - 1) / 2], [0, step[1], (step[1] - 1) / 2], [0, 0, 1]])
        return cv2.warpPerspective(part, to_crop @ placed, (self.size, self.size), flags=cv2.INTER_LINEAR)

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


def view_of(
    landmarks_px: np.ndarray, K: np.ndarray, size: int, margin: float, mirrored: bool, turn: float = 0.0
) -> HandView:
    """The camera that shows landmarks (21, 2) of a picture upright, in the middle, their box `1 / margin` of the side.

    Args:
        K: (3, 3) intrinsics of the picture.
        size: side of the crop in pixels.
        mirrored: show a left hand as a right one. The intrinsics stay, the principal point being in the middle.
        turn: radians by which the hand leans clockwise from upright.
    """
    homogeneous = np.column_stack([landmarks_px, np.ones(len(landmarks_px))])
    rays = homogeneous @ np.linalg.inv(K).T
    center = (rays[:, :2].min(axis=0) + rays[:, :2].max(axis=0)) / 2
    rotation = _looking_at(np.append(center, 1.0))
    for _ in range(CENTERINGS):
        x, y = np.diff(_flat(rays[[WRIST, MIDDLE_KNUCKLE]] @ rotation.T), axis=0)[0]
        rotation = _roll(np.arctan2(x, -y)) @ rotation
        seen = _flat(rays @ rotation.T)
        low, high = seen.min(axis=0), seen.max(axis=0)
        rotation = _looking_at(np.append((low + high) / 2, 1.0)) @ rotation
    focal = size / (margin * max((high - low).max(), 1e-6))
    middle = (size - 1) / 2
    rotation = _roll(-turn) @ rotation
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
