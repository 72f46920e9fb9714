"""The intrinsics of a picture's camera: given, beside it, from its EXIF data, or from a field of view."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from handmesh.intrinsics import SUFFIXES, as_intrinsics, read_intrinsics

FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)  # what focal lengths "in 35 mm film" refer to
EXIF_FOLDER, FOCAL_LENGTH_35MM = 0x8769, 0xA405
DEFAULT_FOV_DEGREES = 65.0  # across the longer side; main cameras of phones have 60 to 70
USUAL_FOV_DEGREES = (5.0, 150.0)  # beyond them a K probably belongs to another picture
PLAUSIBLE_FOCAL_35MM = (8.0, 1200.0)
FROM_FILE, FROM_EXIF, FROM_FOV, GIVEN = "file", "exif", "fov", "given"
SHARED_NAME = "K"  # of a file that holds for all pictures of its folder
NAME_ENDING = "_img"  # of the released demo images; not part of the name

Intrinsics = np.ndarray | Mapping | list | tuple


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

    def warnings(self, height: int, width: int) -> tuple[str, ...]:
        """What speaks against these being the intrinsics of a picture of this size."""
        found = []
        fov = math.degrees(2 * math.atan(max(width / self.K[0, 0], height / self.K[1, 1]) / 2))
        low, high = USUAL_FOV_DEGREES
        if not low <= fov <= high:
            found.append(f"K has a field of view of {fov:.1f} degrees: it may belong to another picture size")
        if not (0 <= self.K[0, 2] <= width and 0 <= self.K[1, 2] <= height):
            found.append("K has its principal point outside of the picture: it may belong to another picture size")
        return tuple(found)

    def mirrored(self, width: int) -> "Camera":
        """The camera of the mirrored picture."""
        K = self.K.copy()
        K[0, 1], K[0, 2] = -K[0, 1], width - 1 - K[0, 2]
        return Camera(K, self.source)


def camera_of(K: Intrinsics | Camera | None, height: int, width: int, path: Path | None = None) -> Camera:
    """The camera of a picture of this size.

    Args:
        K: see `as_intrinsics`; None takes what `find_camera` says of the path, or the usual field of view without one.

    Raises:
        InputError: it is not a camera's.
    """
    if isinstance(K, Camera):
        return K
    if K is None:
        return Camera(from_fov(height, width), FROM_FOV) if path is None else find_camera(path, height, width)
    return Camera(as_intrinsics(K, height, width), GIVEN)


def find_camera(
    path: Path,
    height: int,
    width: int,
    fov_degrees: float = DEFAULT_FOV_DEGREES,
    shared: Path | None = None,
) -> Camera:
    """The camera of an upright image.

    Args:
        path: of the image, `NAME` or `NAME_img`; `NAME_K` and then `K`, each with one of `SUFFIXES`, are looked for
            beside it.
        fov_degrees: across the longer side, where neither a file nor EXIF data says more.
        shared: a file that holds where there is no `NAME_K`.

    Raises:
        InputError: there is such a file, and it does not hold intrinsics.
    """
    own_name = f"{path.stem.removesuffix(NAME_ENDING)}_K"
    beside = [path.parent / f"{stem}{suffix}" for stem in (own_name, SHARED_NAME) for suffix in SUFFIXES]
    own, common = beside[: len(SUFFIXES)], beside[len(SUFFIXES) :]
    for file in (*own, *(common if shared is None else [shared])):
        if file.exists() or file is shared:
            return Camera(read_intrinsics(file, height, width), FROM_FILE)
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
