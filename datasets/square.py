"""From an annotated photograph of any size to the square around one hand that training samples are made from."""

import cv2
import numpy as np

from datasets.augmentation import HandSample, mirror
from handmesh.errors import InputError
from handmesh.geometry import crop_intrinsics, crop_points

SIDE_PX = 224  # as FreiHAND's images and the generator's
MARGIN = 2.4  # side over the box of the landmarks: what augmentation turns and shifts is still in the image


def square_sample(
    source: str,
    image: np.ndarray,
    mask: np.ndarray | None,
    landmarks_px: np.ndarray,
    vertices_m: np.ndarray,
    K: np.ndarray,
    joints_m: np.ndarray,
    left: bool = False,
) -> HandSample:
    """A hand cut out of its image at `SIDE_PX`; a left one mirrored, so that it looks like a right one.

    Args:
        source: of the annotation, for errors.
        image: (H, W, 3) RGB uint8.
        mask: (H, W), above 127 on the hand; None: not known.
        landmarks_px, vertices_m, K, joints_m: see `HandSample`.
        left: whether it is a left hand.

    Raises:
        InputError: fewer than two landmarks are known, all are at one place, or one is far outside of the image.
    """
    known, size = landmarks_px[np.isfinite(landmarks_px).all(axis=1)], np.array(image.shape[1::-1])
    if (known == known[:1]).all():
        raise InputError(f"{source}: {len(known)} points at one place; expected points of a hand")
    if (known < -size).any() or (known > 2 * size).any():
        raise InputError(f"{source}: points far outside of its image ({size[0]} x {size[1]} px)")
    low, high = known.min(axis=0), known.max(axis=0)
    half = max(1, int(np.ceil(MARGIN / 2 * (high - low).max())))
    corner = np.rint((low + high) / 2).astype(int) - half
    mask = np.zeros(image.shape[:2], np.uint8) if mask is None else np.where(mask > 127, np.uint8(255), np.uint8(0))
    box = (corner + half, half, SIDE_PX)
    sample = HandSample(
        image=_resized(_cut(image, corner, 2 * half)),
        mask=_resized(_cut(mask, corner, 2 * half)),
        landmarks_px=crop_points(landmarks_px, *box),
        vertices_m=vertices_m,
        K=crop_intrinsics(K, *box),
        joints_m=joints_m,
    )
    return mirror(sample) if left else sample


def _cut(pixels: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
    """The square from column and row `corner` on, black outside the image."""
    square = np.zeros((side, side, *pixels.shape[2:]), pixels.dtype)
    (left, top), (right, bottom) = np.maximum(corner, 0), np.minimum(corner + side, pixels.shape[1::-1])
    inside = np.s_[top - corner[1] : bottom - corner[1], left - corner[0] : right - corner[0]]
    square[inside] = pixels[top:bottom, left:right]
    return square


def _resized(square: np.ndarray) -> np.ndarray:
    smaller = len(square) > SIDE_PX
    return cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
