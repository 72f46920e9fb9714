"""What may be asked of a `HandFinder`: ranges, and words that mean what they say."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from handmesh.errors import InputError

HAND_LENGTH_M = (0.05, 0.3)  # from a newborn's to well beyond the longest known
FOV_DEGREES = (1.0, 170.0)


def as_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """One of the choices, in any case of letters. Raises InputError, which names the argument."""
    if isinstance(value, str) and value.lower() in choices:
        return value.lower()
    raise InputError(f"{name}: {value!r}, expected one of {', '.join(map(repr, choices))}")


def as_number(name: str, value: Any, bounds: tuple[float, float], unit: str) -> float:
    """A finite number within bounds. Raises InputError, which names the argument."""
    low, high = bounds
    plain = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not plain or not math.isfinite(value) or not low <= value <= high:
        raise InputError(f"{name}: {value!r}, expected {unit} from {low:g} to {high:g}")
    return float(value)


def as_boxes(boxes: Any, height: int, width: int) -> np.ndarray:
    """Boxes (N, 4) of hands in a picture of this size: left, top, right, bottom in pixels. Raises InputError."""
    expected = "boxes: expected [[left, top, right, bottom], ...] in pixels"
    try:
        found = np.array(boxes, np.float64) if len(boxes) else np.empty((0, 4))
    except (TypeError, ValueError):
        found = None
    if found is None or found.ndim != 2 or found.shape[1] != 4 or not np.isfinite(found).all():
        raise InputError(f"{expected}, got {boxes!r}")
    for left, top, right, bottom in found:
        if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
            box = f"[{left:g}, {top:g}, {right:g}, {bottom:g}]"
            raise InputError(f"{expected}, got {box} in a picture of {width} x {height}")
    return found


def mirrored_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes (N, 4) in the mirrored picture."""
    return (boxes * [-1, 1, -1, 1] + [width - 1, 0, width - 1, 0])[:, [2, 1, 0, 3]]
