"""Training augmentation: mirrored hands, rotation, a jittered crop around the silhouette, and colour.

What happens to a sample is drawn first; `augment` then does it with OpenCV, one step after the other, as the reference
did. `datasets.batch` does the same to a whole batch on the network's device.
"""

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from datasets.color import ColorJitter, draw_jitter, jitter_color
from handmesh.geometry import (
    crop_affine,
    crop_image,
    crop_intrinsics,
    crop_points,
    rotation_affine,
    transform_points,
)
from handmesh.joints import NUM_JOINTS, lean
from handmesh.outline import largest_contour

CROP_MARGIN = 1.3  # crop size over silhouette size
CROP_MARGIN_JITTER = 0.2
UPRIGHT_MARGIN = 1.6  # crop size over the size of the landmarks' box, hand upright
UPRIGHT_MARGIN_JITTER, UPRIGHT_SHIFT = 0.4, 0.18  # of the size
BORDER_CHANCE, BORDER_SHARE = 0.2, (0.1, 0.4)  # that the picture ends within the crop, and how far from its edge


@dataclass(frozen=True)
class AugmentationSettings:
    """How much to augment.

    Attributes:
        position: standard deviation of the crop jitter before truncation to [-1, 1]; 0 centres every crop.
        rotation_degrees: largest rotation; 0 rotates nothing.
        color: jitter brightness, contrast, saturation and hue.
        mirrored_share: of the samples that are mirrored and show the other hand.
        upright: turn hands so that the middle knuckle is above the wrist, before the rotation, and crop
            `UPRIGHT_MARGIN` times the box of the landmarks instead of a square around the silhouette; some crops end
            as at the border of a picture.
        neighbour_share: of the samples that get another sample's hand beside theirs, see `datasets.neighbour`.
    """

    position: float = 3.0
    rotation_degrees: int = 90
    color: bool = True
    mirrored_share: float = 0.0
    upright: bool = False
    neighbour_share: float = 0.0


@dataclass(frozen=True)
class HandSample:
    """One annotated image. What is not known is not a number (NaN).

    Attributes:
        image: (S, S, 3) RGB uint8.
        mask: (S, S) uint8, 255 on the hand; black where no silhouette is known.
        landmarks_px: (21, 2); some of them may not be known.
        vertices_m: (V, 3) relative to the wrist.
        K: (3, 3).
        joints_m: (21, 3) relative to the wrist, for a hand without a mesh.
    """

    image: np.ndarray
    mask: np.ndarray
    landmarks_px: np.ndarray
    vertices_m: np.ndarray
    K: np.ndarray
    joints_m: np.ndarray = field(default_factory=lambda: np.full((NUM_JOINTS, 3), np.nan))


@dataclass(frozen=True)
class Augmentation:
    """What happens to one sample, in this order.

    Attributes:
        mirrored: left and right exchanged.
        angle_degrees: then turned about the image centre.
        center_px, half_px: then cut out, a square with this centre (2,) and half side.
        color: then its colours changed; None leaves them.
        border: share of the crop (4,) that is beyond the picture's end at the left, top, right and bottom.
    """

    mirrored: bool
    angle_degrees: int
    center_px: np.ndarray
    half_px: float
    color: ColorJitter | None
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def affine(self, image_size: int, size: int) -> np.ndarray:
        """Pixel of the source to pixel of the result, (2, 3)."""
        total = _turn(image_size, self.mirrored, self.angle_degrees)
        cut = crop_affine(self.center_px, self.half_px, size)  # a scale and a shift
        total *= cut[0, 0]
        total[:, 2] += cut[:, 2]
        return total

    def window_px(self, image_size: int, size: int) -> np.ndarray:
        """First column and row, last column and row (4,) of the result that lie on the turned image."""
        cut = crop_affine(self.center_px, self.half_px, size)
        across = cut[0, 0] * (image_size - 1)
        left, top = cut[:, 2]
        edges = (math.ceil(left), math.ceil(top), math.floor(left + across), math.floor(top + across))
        ends = self.picture_ends(size)
        low = [min(max(edge, -1, end), size) for edge, end in zip(edges[:2], ends[:2], strict=True)]
        high = [max(min(edge, end), -1) for edge, end in zip(edges[2:], ends[2:], strict=True)]
        return np.array(low + high)

    def picture_ends(self, size: int) -> np.ndarray:
        """First column and row, last column and row (4,) of the result within the picture, as `border` has it."""
        left, top, right, bottom = (round(share * size) for share in self.border)
        return np.array([left or -1, top or -1, size - right, size - bottom])


def draw_augmentation(sample: HandSample, settings: AugmentationSettings, rng: np.random.Generator) -> Augmentation:
    """What happens to a sample; the same generator state gives the same."""
    mirrored = bool(settings.mirrored_share and rng.random() < settings.mirrored_share)
    limit = settings.rotation_degrees
    angle = int(rng.integers(-limit, limit)) if limit else 0
    side = sample.image.shape[0]
    if settings.upright:
        box = _upright_crop(sample.landmarks_px, side, mirrored, angle, rng)
        border = _border(rng)
        return Augmentation(mirrored, *box, draw_jitter(rng) if settings.color else None, border)
    contour = largest_contour(sample.mask > 127)
    outline = np.empty((0, 2)) if contour is None else _turned(contour[:, 0], side, mirrored, angle)
    x, y = np.ascontiguousarray(outline.T)
    inside = (x > -0.5) & (x < side - 0.5) & (y > -0.5) & (y < side - 0.5)
    if not inside.any():  # no mask, or turned out of the image: take what the landmarks span
        x, y = _turned(sample.landmarks_px, side, mirrored, angle).T
        inside = np.isfinite(x)
    low, high = np.array([x[inside].min(), y[inside].min()]), np.array([x[inside].max(), y[inside].max()])
    box = silhouette_crop(low, high, settings.position, rng)
    return Augmentation(mirrored, angle, *box, draw_jitter(rng) if settings.color else None)


def _upright_crop(
    landmarks_px: np.ndarray, side: int, mirrored: bool, jitter_degrees: int, rng: np.random.Generator
) -> tuple[int, np.ndarray, float]:
    """Angle, centre (2,) and half side of a jittered square around a hand that points up, give or take the jitter."""
    points = _turned(landmarks_px, side, mirrored, 0)
    angle = round(np.degrees(np.nan_to_num(lean(points)))) + jitter_degrees
    points = _turned(landmarks_px, side, mirrored, angle)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    size = (high - low).max()
    margin, *shift = rng.uniform(-1, 1, 3)
    half = size / 2 * UPRIGHT_MARGIN * np.exp(UPRIGHT_MARGIN_JITTER * margin)
    return angle, (low + high) / 2 + UPRIGHT_SHIFT * size * np.array(shift), half


def _border(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Where the picture ends: mostly nowhere, otherwise at one side."""
    border = [0.0] * 4
    if rng.random() < BORDER_CHANCE:
        border[rng.integers(4)] = rng.uniform(*BORDER_SHARE)
    return tuple(border)


def _turn(image_size: int, mirrored: bool, angle_degrees: int) -> np.ndarray:
    """Affine map (2, 3) that mirrors, then turns about the image centre."""
    affine = rotation_affine(image_size, angle_degrees)
    if mirrored:
        affine[:, 2] += affine[:, 0] * (image_size - 1)
        affine[:, 0] *= -1
    return affine


def _turned(points_px: np.ndarray, image_size: int, mirrored: bool, angle_degrees: int) -> np.ndarray:
    return transform_points(points_px, _turn(image_size, mirrored, angle_degrees))


def augment(sample: HandSample, drawn: Augmentation, size: int) -> HandSample:
    """Mirror, rotate, crop to size x size, then change colours."""
    if drawn.mirrored:
        sample = mirror(sample)
    if drawn.angle_degrees:
        sample = rotate(sample, drawn.angle_degrees)
    sample = crop(sample, drawn.center_px, drawn.half_px, size)
    left, top, right, bottom = np.clip(drawn.picture_ends(size) + np.array([0, 0, 1, 1]), 0, size)
    for pixels in (sample.image, sample.mask):
        pixels[:top], pixels[bottom:], pixels[:, :left], pixels[:, right:] = 0, 0, 0, 0
    if drawn.color is not None:
        sample = replace(sample, image=jitter_color(sample.image, drawn.color))
    return sample


def augmented_geometry(sample: HandSample, drawn: Augmentation, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks (21, 2) in pixels, vertices (V, 3) and joints (21, 3) of `augment`, without the pixels."""
    side = sample.image.shape[0]
    turn = _turn(side, drawn.mirrored, drawn.angle_degrees)
    landmarks = transform_points(sample.landmarks_px, turn)
    linear = np.eye(3)
    linear[:2, :2] = turn[:, :2]
    landmarks = crop_points(landmarks, drawn.center_px, drawn.half_px, size)
    return landmarks, sample.vertices_m @ linear.T, sample.joints_m @ linear.T


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
        joints_m=sample.joints_m * [-1, 1, 1],
    )


def rotate(sample: HandSample, angle_degrees: int) -> HandSample:
    """Turn everything about the image centre; exact for square pixels (fx = fy)."""
    side = sample.image.shape[0]
    affine = rotation_affine(side, angle_degrees)
    vertices, joints = sample.vertices_m.copy(), sample.joints_m.copy()
    for points in (vertices, joints):
        points[:, :2] = points[:, :2] @ affine[:, :2].T
    K = sample.K.copy()
    K[:2, 2] = transform_points(K[:2, 2], affine)
    return HandSample(
        image=cv2.warpAffine(sample.image, affine, (side, side)),
        mask=cv2.warpAffine(sample.mask, affine, (side, side)),
        landmarks_px=transform_points(sample.landmarks_px, affine),
        vertices_m=vertices,
        K=K,
        joints_m=joints,
    )


def silhouette_crop(
    low_px: np.ndarray, high_px: np.ndarray, position: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Centre (2,) and half side, in pixels, of a jittered square around an outline, which stays inside it.

    Args:
        low_px, high_px: first and last column and row (2,) of the outline.
    """
    sides = high_px - low_px + 1
    margin, *shift = (_truncated_normal(position, rng) for _ in range(3))
    half = sides.max() / 2 * (CROP_MARGIN + CROP_MARGIN_JITTER * margin)
    return low_px + sides / 2 + shift * (half - sides / 2), half


def _truncated_normal(deviation: float, rng: np.random.Generator) -> float:
    while True:
        value = deviation * rng.standard_normal()
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
        joints_m=sample.joints_m,
    )
