"""Image crops, and what they do to intrinsics and points. OpenCV pixel convention: centres at integers."""

import math

import cv2
import numpy as np

MESH_SCALE_M = 0.2  # networks predict meshes in units of this, about the length of a hand
INPUT_SIZE_PX = 224
INPUT_MEAN = INPUT_STD = 0.5  # input is (rgb / 255 - mean) / std
EVALUATION_HALF_PX = 100 / 2 * 1.3  # 65: half side of the fixed evaluation crop of a 224 px FreiHAND image


def crop_affine(center_px: np.ndarray, half_px: float, size: int) -> np.ndarray:
    """Affine map (2, 3) that takes the corners of a square box to the pixel centres 0 and size - 1."""
    scale = (size - 1) / (2 * half_px)
    corner = np.asarray(center_px, np.float64) - half_px
    return np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])


def crop_image(image: np.ndarray, center_px: np.ndarray, half_px: float, size: int) -> np.ndarray:
    """Square crop (size, size[, C]) of an image, bilinear, zero outside."""
    return cv2.warpAffine(image, crop_affine(center_px, half_px, size), (size, size), flags=cv2.INTER_LINEAR)


def crop_intrinsics(K: np.ndarray, center_px: np.ndarray, half_px: float, size: int) -> np.ndarray:
    """Intrinsics of a crop: f' = s f, c' = s (c - corner + 0.5) - 0.5, s = size / (2 half)."""
    scale = size / (2 * half_px)
    corner = np.asarray(center_px, np.float64) - half_px
    cropped = np.array(K, np.float64)
    cropped[:2] *= scale
    cropped[:2, 2] = scale * (K[:2, 2] - corner + 0.5) - 0.5
    return cropped


def crop_points(points_px: np.ndarray, center_px: np.ndarray, half_px: float, size: int) -> np.ndarray:
    """Points (..., 2) in a crop, by the same rule as the intrinsics, so that projections land on them."""
    scale = size / (2 * half_px)
    corner = np.asarray(center_px, np.float64) - half_px
    return scale * (points_px - corner + 0.5) - 0.5


def fit_square(image: np.ndarray, K: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Central square of an image, resized to size x size (without aliasing), with its intrinsics."""
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = image[top : top + side, left : left + side]
    if side != size:
        interpolation = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
        square = cv2.resize(square, (size, size), interpolation=interpolation)
    return square, crop_intrinsics(K, np.array([left, top]) + side / 2, side / 2, size)


def rotation_affine(image_size: int, angle_degrees: float) -> np.ndarray:
    """Affine map (2, 3) of a rotation about the image centre, counter-clockwise on the screen."""
    # What cv2.getRotationMatrix2D says, without letting go of Python's lock: data threads wait to get it back.
    center, angle = image_size / 2, math.radians(angle_degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    shift = (1 - cosine) * center
    return np.array([[cosine, sine, shift - sine * center], [-sine, cosine, shift + sine * center]])


def transform_points(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Apply an affine map (2, 3) to points (..., 2)."""
    return points @ affine[:, :2].T + affine[:, 2]


def project(points_m: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of camera-space points (..., 3)."""
    homogeneous = points_m @ np.asarray(K).T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def to_network_input(image: np.ndarray, mean: float, std: float) -> np.ndarray:
    """RGB uint8 (H, W, 3) to float32 (3, H, W), (rgb / 255 - mean) / std."""
    return np.ascontiguousarray(((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))
