"""Cutting a square out of a picture of any size, however it is turned, without the flicker of skipped pixels."""

import cv2
import numpy as np


def cut_square(image: np.ndarray, to_crop: np.ndarray, size: int) -> np.ndarray:
    """The square that a homography leads to.

    Args:
        image: (H, W, 3) uint8.
        to_crop: (3, 3), pixel of the picture to pixel of the crop.
        size: side of the crop in pixels.

    Returns:
        (size, size, 3) uint8, black outside of the picture and for up to a pixel of the crop along its edge.
    """
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64) * (size - 1)
    corners = cv2.perspectiveTransform(corners[None], np.linalg.inv(to_crop))[0]
    side = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[0]))
    step = max(int(side / size), 1)  # whole numbers of pixels are averaged ten times as fast as others
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2 + step, low + 1, [width, height])
    smaller = np.maximum((high - low) // step, 1)
    high = low + step * smaller
    part = image[low[1] : high[1], low[0] : high[0]]
    if step > 1:
        part = cv2.resize(part, smaller.tolist(), interpolation=cv2.INTER_AREA)
    middle = low + (step - 1) / 2
    placed = np.array([[step, 0, middle[0]], [0, step, middle[1]], [0, 0, 1]])
    return cv2.warpPerspective(part, to_crop @ placed, (size, size), flags=cv2.INTER_LINEAR)
