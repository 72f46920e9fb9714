"""The outline of a hand in a mask."""

import cv2
import numpy as np

SILHOUETTE_THRESHOLD = 0.3  # of the predicted probability


def largest_contour(mask: np.ndarray) -> np.ndarray | None:
    """Outer contour (N, 1, 2) int32 that encloses the largest area of a boolean mask; None if the mask is empty."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(contours, key=cv2.contourArea) if contours else None


def predicted_contour(probability: np.ndarray, image_size: int) -> np.ndarray | None:
    """Largest contour of a predicted silhouette (h, w), in pixels of the image it was predicted from."""
    resized = cv2.resize(probability.astype(np.float32), (image_size, image_size))
    return largest_contour(resized > SILHOUETTE_THRESHOLD)
