"""Lists of matrices as FreiHAND's JSON files hold them, and what is wrong with them."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from handmesh.errors import InputError
from handmesh.files import read_json

FARTHEST_M = 100


def read_rows(path: Path, shape: tuple[int | None, int]) -> np.ndarray:
    """Read a JSON list of matrices of one shape: (N, *shape), N at least 1. Raises InputError."""
    return as_rows(read_json(path, _expected(shape)), path, shape)


def as_rows(rows: object, path: Path, shape: tuple[int | None, int], first: int = 0) -> np.ndarray:
    """Finite matrices of one shape as an array (N, *shape), N at least 1.

    Args:
        rows: what a JSON file held.
        path: that file, for the error message.
        shape: of each matrix; None leaves the number of its rows open.
        first: number of the first one in the file, for the same.

    Raises:
        InputError: it is something else.
    """
    try:
        array = np.asarray(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.ndim != 3 or not array.size or array.shape[2] != shape[1] or shape[0] not in (None, array.shape[1]):
        raise InputError(f"{path}: {_describe(rows, array)}; expected {_expected(shape)}")
    _refuse(path, ~np.isfinite(array).all(axis=(1, 2)), "is not finite", first)
    for entry, matrix in enumerate(rows, first):
        if not set(map(type, chain.from_iterable(matrix))) <= {int, float}:  # NumPy takes "1" and true for numbers
            raise InputError(f"{path}: entry {entry} holds text, or true or false; expected numbers")
    return array


def _expected(shape: tuple[int | None, int]) -> str:
    return f"a list of {shape[0] or 'V'} x {shape[1]} matrices"


def check_cameras(path: Path, K: np.ndarray, first: int = 0) -> None:
    """Raise InputError unless these (N, 3, 3) are intrinsics of cameras; `first` is the number of the first entry."""
    usable = (K[:, 0, 0] > 0) & (K[:, 1, 1] > 0) & (K[:, 2] == [0, 0, 1]).all(axis=1)
    expected = "expected focal lengths above 0, in pixels, and 0, 0, 1 in the last row"
    _refuse(path, ~usable, f"is no camera: {expected}", first)


def check_points(path: Path, points_m: np.ndarray, first: int = 0) -> None:
    """Raise InputError unless points (N, P, 3) lie before a camera; `first` is the number of the first entry."""
    far = (np.abs(points_m) > FARTHEST_M).any(axis=(1, 2))
    _refuse(path, far, f"is more than {FARTHEST_M} m away; expected metres, are these millimetres?", first)
    behind = (points_m[..., 2] <= 0).any(axis=1)
    _refuse(path, behind, "has depths of 0 or below; expected points before the camera, z forward", first)


def _refuse(path: Path, bad: np.ndarray, problem: str, first: int = 0) -> None:
    if bad.any():
        raise InputError(f"{path}: entry {first + int(bad.argmax())} {problem}")


def check_topology(path: Path, found: int, expected: int) -> None:
    """Raise InputError unless a mesh of the data has as many vertices as the template."""
    if found != expected:
        raise InputError(
            f"{path}: meshes of {found} vertices, and a template of {expected}. Choose the template that the data was "
            "made with: template/mano for FreiHAND (778), see template/README.md"
        )


def _describe(rows: object, array: np.ndarray) -> str:
    if array.ndim == 3 and len(array):
        return f"holds {array.shape[1]} x {array.shape[2]} matrices"
    return f"holds a ragged list of {len(rows)}" if isinstance(rows, list) and rows else "holds no list of matrices"


def check_equal_lengths(root: Path, lists: dict[str, Sequence]) -> None:
    """Raise InputError unless all lists are of one length."""
    lengths = {name: len(rows) for name, rows in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{root}: lists of different length ({counts}); they describe the same samples")
