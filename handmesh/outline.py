"""The outline of a hand in a mask, and what the registration's 1D stage reads off it."""

import cv2
import numpy as np

SILHOUETTE_THRESHOLD = 0.3  # of the predicted probability
NUM_AXES = 12  # one every 15 degrees


def largest_contour(mask: np.ndarray) -> np.ndarray | None:
    """Outer contour (N, 1, 2) int32 that encloses the largest area of a boolean mask; None if the mask is empty."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(contours, key=cv2.contourArea) if contours else None


def predicted_contour(probability: np.ndarray, image_size: int) -> np.ndarray | None:
    """Largest contour of a predicted silhouette (h, w), in pixels of the image it was predicted from."""
    resized = cv2.resize(probability.astype(np.float32), (image_size, image_size))
    return largest_contour(resized > SILHOUETTE_THRESHOLD)


def projection_axes() -> np.ndarray:
    """Unit vectors of the 1D stage, one every 15 degrees of the half circle: (12, 2) float64."""
    angles = np.arange(NUM_AXES) * (np.pi / NUM_AXES)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def contour_extents(contour_px: np.ndarray) -> np.ndarray:
    """Smallest and largest projection of a contour (N, 2) on every axis: (2, 12) float64, minima first, pixels."""
    along = contour_px @ projection_axes().T  # (N, 12)
    return np.stack([along.min(axis=0), along.max(axis=0)])


def silhouette_extents(silhouettes: np.ndarray, image_size: int) -> np.ndarray:
    """Extents (B, 2, 12) of the largest part of each silhouette; NaN where there is none.

    Args:
        silhouettes: (B, h, w) probabilities.
        image_size: side in pixels of the image whose pixels the extents are in.
    """
    extents = np.full((len(silhouettes), 2, NUM_AXES), np.nan)
    for row, probability in zip(extents, silhouettes, strict=True):
        contour = predicted_contour(probability, image_size)
        if contour is not None:
            row[:] = contour_extents(contour[:, 0])
    return extents
