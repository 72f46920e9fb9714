"""Intrinsics in the forms in which people keep them: matrices, focal lengths, files of several kinds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handmesh.errors import InputError
from handmesh.files import read_array, read_arrays, read_json

SUFFIXES = (".json", ".npy", ".npz", ".txt")
MATRIX_KEYS = ("K", "k", "camera_matrix", "intrinsics", "mtx")  # ours, ROS, ROS files, others, OpenCV's examples
FOCAL_KEYS = ("fx", "fy", "cx", "cy")
SIZE_KEYS = (("width", "height"), ("image_width", "image_height"))
EXPECTED = (
    "a 3 x 3 matrix [[fx, s, cx], [0, fy, cy], [0, 0, 1]] in pixels, its nine numbers, or a dictionary with K, with "
    "fx, fy, cx, cy, or as ROS' camera_info"
)
LARGEST_PX = 1e7  # of focal lengths and principal points; beyond it arithmetic fails, and no camera is


def read_intrinsics(path: Path, height: int, width: int) -> np.ndarray:
    """K (3, 3) from a file, for an image of this size. Raises InputError, which names the file.

    A .json holds a list or a dictionary, a .npy an array, a .npz one array or several named as in a dictionary, a .txt
    nine numbers, or fx fy cx cy. Where a dictionary says the size it belongs to, it is scaled to the image's.
    """
    if path.suffix == ".json":
        content = read_json(path, EXPECTED)
    elif path.suffix == ".txt":
        content = _read_numbers(path)
    elif path.suffix == ".npz":
        arrays = read_arrays(path)
        content = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    else:
        content = read_array(path)
    return as_intrinsics(content, height, width, str(path))


def as_intrinsics(content: object, height: int, width: int, source: str = "K") -> np.ndarray:
    """K (3, 3) float64 of an image of this size. Raises InputError, which names the source, if it is none.

    Args:
        content: a matrix (3, 3) or (1, 3, 3), nine or four numbers, or a dictionary, see `EXPECTED`.
    """
    if isinstance(content, Mapping):
        scale = _scale(content, height, width, source)
        return scale @ as_intrinsics(_matrix_of(content, source), height, width, source)
    try:
        K = np.array(content)
        K = K.astype(np.float64, casting="same_kind" if K.dtype.kind == "f" else "safe")
    except (TypeError, ValueError, OverflowError):
        K = np.empty(0)
    if K.dtype != np.float64 or K.size not in (4, 9) or (K.ndim > 1 and K.shape[-2:] != (3, 3)):
        shape = " x ".join(map(str, K.shape)) if K.size else "no numbers"
        raise InputError(f"{source}: holds {shape}, expected {EXPECTED}")
    if K.size == 4:
        fx, fy, cx, cy = K.ravel()
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    K = K.reshape(3, 3)
    if not (np.abs(K) < LARGEST_PX).all() or K[0, 0] <= 0 or K[1, 1] <= 0:  # the first is false for NaN
        raise InputError(f"{source}: expected fx and fy above 0, and all numbers below {LARGEST_PX:.0e}, in pixels")
    if not np.allclose(K[[1, 2, 2, 2], [0, 0, 1, 2]], [0, 0, 0, 1]) or abs(K[0, 1]) > K[0, 0]:
        raise InputError(f"{source}: expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with a skew s below fx")
    return K


def _matrix_of(content: Mapping, source: str) -> object:
    for key in MATRIX_KEYS:
        if key in content:
            value = content[key]
            return value["data"] if isinstance(value, Mapping) and "data" in value else value
    if all(key in content for key in FOCAL_KEYS):
        return [content[key] for key in FOCAL_KEYS]
    raise InputError(f"{source}: a dictionary with {', '.join(map(str, content)) or 'nothing'}; expected {EXPECTED}")


def _scale(content: Mapping, height: int, width: int, source: str) -> np.ndarray:
    """What brings intrinsics from the size that they say they belong to, to this one (3, 3)."""
    for keys in SIZE_KEYS:
        if all(key in content for key in keys):
            try:
                own_width, own_height = (float(content[key]) for key in keys)
            except (TypeError, ValueError) as error:
                raise InputError(f"{source}: {' and '.join(keys)} are not numbers") from error
            if not (own_width >= 1 and own_height >= 1):
                raise InputError(f"{source}: a size of {own_width:g} x {own_height:g}, expected pixels")
            x, y = width / own_width, height / own_height
            return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])  # pixel centres at integers
    return np.eye(3)


def _read_numbers(path: Path) -> np.ndarray:
    try:
        return np.loadtxt(path, delimiter="," if "," in path.read_text("utf-8-sig") else None, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as numbers ({error}); expected {EXPECTED}") from error
