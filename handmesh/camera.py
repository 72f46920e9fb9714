"""The intrinsics of a picture's camera: given beside it, from its EXIF data, or from a field of view."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from handmesh.errors import InputError
from handmesh.files import read_array, read_json

FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)  # what focal lengths "in 35 mm film" refer to
EXIF_FOLDER, FOCAL_LENGTH_35MM = 0x8769, 0xA405
DEFAULT_FOV_DEGREES = 65.0  # across the longer side; main cameras of phones have 60 to 70
PLAUSIBLE_FOCAL_35MM = (8.0, 1200.0)
FROM_FILE, FROM_EXIF, FROM_FOV, GIVEN = "file", "exif", "fov", "given"


@dataclass(frozen=True)
class Camera:
    """Intrinsics and where they came from.

    Attributes:
        K: (3, 3) pixels.
        source: `file`, `exif`, `fov` or `given`.
    """

    K: np.ndarray
    source: str

    @property
    def approximate(self) -> bool:
        """Whether depth and with it distances from the camera are only as good as a guessed focal length."""
        return self.source in (FROM_EXIF, FROM_FOV)


def find_camera(path: Path, name: str, height: int, width: int, fov_degrees: float = DEFAULT_FOV_DEGREES) -> Camera:
    """The camera of an upright image.

    Args:
        path: of the image; `NAME_K.npy` or `NAME_K.json` is looked for beside it.
        fov_degrees: across the longer side, where neither a file nor EXIF data says more.

    Raises:
        InputError: there is such a file, and it does not hold intrinsics.
    """
    K = read_intrinsics(path.parent, name)
    if K is not None:
        return Camera(K, FROM_FILE)
    focal_35mm = exif_focal_35mm(path)
    if focal_35mm is not None:
        return Camera(
            centered(focal_35mm / FULL_FRAME_DIAGONAL_MM * math.hypot(height, width), height, width), FROM_EXIF
        )
    return Camera(from_fov(height, width, fov_degrees), FROM_FOV)


def centered(focal_px: float, height: int, width: int) -> np.ndarray:
    """K (3, 3) with the principal point in the middle."""
    return np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])


def from_fov(height: int, width: int, fov_degrees: float = DEFAULT_FOV_DEGREES) -> np.ndarray:
    """K (3, 3) from the field of view across the longer side."""
    return centered(max(height, width) / 2 / math.tan(math.radians(fov_degrees) / 2), height, width)


def exif_focal_35mm(path: Path) -> float | None:
    """The 35 mm equivalent focal length that a file states, if it does and it can be one."""
    try:
        with Image.open(path) as image:
            value = float(image.getexif().get_ifd(EXIF_FOLDER).get(FOCAL_LENGTH_35MM, 0))
    except Exception:  # EXIF data of unknown origin may raise anything; then there is none
        return None
    low, high = PLAUSIBLE_FOCAL_35MM
    return value if low <= value <= high else None


def read_intrinsics(folder: Path, name: str) -> np.ndarray | None:
    """K (3, 3) from `NAME_K.npy` or `NAME_K.json`; None if there is neither. Raises InputError."""
    binary, text = folder / f"{name}_K.npy", folder / f"{name}_K.json"
    if binary.is_file():
        content, source = read_array(binary), str(binary)
    elif text.is_file():
        content, source = read_json(text, "a 3 x 3 matrix"), str(text)
        if isinstance(content, dict):
            content = content.get("K")
    else:
        return None
    return checked_intrinsics(content, source)


def checked_intrinsics(content: object, source: str) -> np.ndarray:
    """K (3, 3) float64. Raises InputError, which names the source, if it is not one."""
    try:
        K = np.array(content)
        K = K.astype(np.float64, casting="same_kind" if K.dtype.kind == "f" else "safe")
    except (TypeError, ValueError, OverflowError):
        K = np.empty(0)
    if K.shape != (3, 3):
        shape = " x ".join(map(str, K.shape)) if K.size else "no matrix"
        raise InputError(f"{source}: holds {shape}, expected 3 x 3")
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[2], [0, 0, 1]):
        raise InputError(f"{source}: expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with fx, fy above 0, in pixels")
    return K
