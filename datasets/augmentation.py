"""Training augmentation: rotation, mirrored hands, a jittered crop around the silhouette, and colour (SSD style)."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from utils.geometry import (
    crop_image,
    crop_intrinsics,
    crop_points,
    rotation_affine,
    transform_points,
)
from utils.silhouette import largest_contour

CROP_MARGIN = 1.3  # crop size over silhouette size
CROP_MARGIN_JITTER = 0.2
BRIGHTNESS = 32.0  # grey levels
CONTRAST = SATURATION = (0.5, 1.5)
HUE_DEGREES = 18.0


@dataclass(frozen=True)
class AugmentationSettings:
    """How much to augment.

    Attributes:
        position: standard deviation of the crop jitter before truncation to [-1, 1]; 0 centres every crop.
        rotation_degrees: largest rotation; 0 rotates nothing.
        color: jitter brightness, contrast, saturation and hue.
        flip: mirror half of the samples. They show left hands.
    """

    position: float = 3.0
    rotation_degrees: int = 90
    color: bool = True
    flip: bool = False


@dataclass(frozen=True)
class HandSample:
    """One annotated image.

    Attributes:
        image: (S, S, 3) RGB uint8.
        mask: (S, S) uint8, 255 on the hand.
        landmarks_px: (21, 2).
        vertices_m: (V, 3) relative to the wrist.
        K: (3, 3).
    """

    image: np.ndarray
    mask: np.ndarray
    landmarks_px: np.ndarray
    vertices_m: np.ndarray
    K: np.ndarray


def augment(sample: HandSample, settings: AugmentationSettings, size: int, rng: np.random.Generator) -> HandSample:
    """Mirror, rotate, crop to size x size, then change colours. The same generator state gives the same result."""
    if settings.flip and rng.random() < 0.5:
        sample = mirror(sample)
    if settings.rotation_degrees:
        sample = rotate(sample, int(rng.integers(-settings.rotation_degrees, settings.rotation_degrees)))
    sample = crop(sample, *silhouette_crop(sample, settings.position, rng), size)
    if settings.color:
        sample = replace(sample, image=jitter_color(sample.image, rng))
    return sample


def mirror(sample: HandSample) -> HandSample:
    """Left and right exchanged in image, points, mesh and camera."""
    last = sample.image.shape[1] - 1
    K = sample.K.copy()
    K[0, 2] = last - K[0, 2]
    return HandSample(
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        mask=np.ascontiguousarray(sample.mask[:, ::-1]),
        landmarks_px=sample.landmarks_px * [-1, 1] + [last, 0],
        vertices_m=sample.vertices_m * [-1, 1, 1],
        K=K,
    )


def rotate(sample: HandSample, angle_degrees: int) -> HandSample:
    """Turn everything about the image centre; exact for square pixels (fx = fy)."""
    side = sample.image.shape[0]
    affine = rotation_affine(side, angle_degrees)
    vertices = sample.vertices_m.copy()
    vertices[:, :2] = vertices[:, :2] @ affine[:, :2].T
    K = sample.K.copy()
    K[:2, 2] = transform_points(K[:2, 2], affine)
    return HandSample(
        image=cv2.warpAffine(sample.image, affine, (side, side)),
        mask=cv2.warpAffine(sample.mask, affine, (side, side)),
        landmarks_px=transform_points(sample.landmarks_px, affine),
        vertices_m=vertices,
        K=K,
    )


def silhouette_crop(sample: HandSample, position: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Centre (2,) and half side, in pixels, of a jittered square around the silhouette, which stays inside it."""
    contour = largest_contour(sample.mask > 127)
    if contour is None:  # rotated out of the image: take what the landmarks span
        contour = np.rint(sample.landmarks_px).astype(np.int32)[:, None]
    x, y, width, height = cv2.boundingRect(contour)
    margin, shift_x, shift_y = (_truncated_normal(position, rng) for _ in range(3))
    half = max(width, height) / 2 * (CROP_MARGIN + CROP_MARGIN_JITTER * margin)
    center = np.array([x + width / 2 + shift_x * (half - width / 2), y + height / 2 + shift_y * (half - height / 2)])
    return center, half


def _truncated_normal(deviation: float, rng: np.random.Generator) -> float:
    while True:
        value = rng.normal(0, deviation)
        if -1 <= value <= 1:
            return value


def crop(sample: HandSample, center_px: np.ndarray, half_px: float, size: int) -> HandSample:
    """Cut a square out of image and mask, with the points and intrinsics to match; the mesh does not change."""
    box = (center_px, half_px, size)
    return HandSample(
        image=crop_image(sample.image, *box),
        mask=crop_image(sample.mask, *box),
        landmarks_px=crop_points(sample.landmarks_px, *box),
        vertices_m=sample.vertices_m,
        K=crop_intrinsics(sample.K, *box),
    )


def jitter_color(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation and hue of an RGB uint8 image, each changed with probability 1/2."""
    pixels = image.astype(np.float32)
    if rng.random() < 0.5:
        pixels += np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    contrast = np.float32(rng.uniform(*CONTRAST)) if rng.random() < 0.5 else None
    contrast_first = rng.random() < 0.5
    if contrast is not None and contrast_first:
        pixels *= contrast
    saturation = np.float32(rng.uniform(*SATURATION)) if rng.random() < 0.5 else None
    hue = np.float32(rng.uniform(-HUE_DEGREES, HUE_DEGREES)) if rng.random() < 0.5 else None
    if saturation is not None or hue is not None:
        hsv = cv2.cvtColor(pixels.clip(0, 255) / 255, cv2.COLOR_RGB2HSV)  # degrees, [0, 1], [0, 1]
        if saturation is not None:
            hsv[..., 1] = (hsv[..., 1] * saturation).clip(0, 1)
        if hue is not None:
            hsv[..., 0] = (hsv[..., 0] + hue) % 360
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    if contrast is not None and not contrast_first:
        pixels *= contrast
    return np.rint(pixels.clip(0, 255)).astype(np.uint8)
