"""Many samples at a glance, each with its skeleton and the outline of its silhouette."""

import cv2
import numpy as np

from handmesh.drawing.primitives import draw_skeleton

COLUMNS = 8
OUTLINE = (255, 255, 255)


def labelled(image: np.ndarray, mask: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray:
    """A copy of the image (S, S, 3) with the outline of the mask (S, S) and the skeleton (21, 2) drawn in."""
    drawn = image.copy()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, OUTLINE, 1, cv2.LINE_AA)
    draw_skeleton(drawn, landmarks_px, thickness=1)
    return drawn


def contact_sheet(images: list[np.ndarray]) -> np.ndarray:
    """Images of one size in rows of eight; the last row is filled with black."""
    blank = np.zeros_like(images[0])
    padded = images + [blank] * (-len(images) % COLUMNS)
    return np.vstack([np.hstack(padded[start : start + COLUMNS]) for start in range(0, len(padded), COLUMNS)])
