"""Own photographs: one JSON file with whatever is known of each hand (docs/data.md)."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.augmentation import HandSample
from datasets.freihand_rows import FARTHEST_M, check_topology
from datasets.square import square_sample
from handmesh.errors import InputError
from handmesh.files import read_json
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from utils.mesh.files import read_mesh

ANNOTATIONS = "annotations.json"
FILES = ("image", "mask", "mesh")
KEYS = {*FILES, "points", "xyz", "K", "side"}
LEAST_POINTS = 3
LARGEST = 1e6  # pixels or metres
LARGEST_HAND_M = 1.0  # from the wrist to any vertex


class KeypointFiles:
    """Hands in photographs of any size; left ones mirrored.

    Args:
        root: folder with `annotations.json`, to which the names in it are relative.
        num_vertices: vertices of the template.

    Raises:
        InputError: the annotation is something else, or names a file that is not there; the message says which entry.
    """

    def __init__(self, root: Path, num_vertices: int) -> None:
        self.root, self.num_vertices = root, num_vertices
        path = root / ANNOTATIONS
        entries = read_json(path, "a list with an entry for each hand, see docs/data.md")
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{path}: expected a list with an entry for each hand, see docs/data.md")
        self.hands = [_checked(entry, root, f"{path}: entry {number}") for number, entry in enumerate(entries)]

    def __len__(self) -> int:
        return len(self.hands)

    def read(self, index: int) -> HandSample:
        """Hand `index`. Raises InputError if a file of it cannot be read or does not fit."""
        hand = self.hands[index]
        image = read_image(self.root / hand["image"])
        mask = None if hand["mask"] is None else read_image(self.root / hand["mask"], cv2.IMREAD_GRAYSCALE)
        if mask is not None and (mask.shape != image.shape[:2] or mask.max() <= 127):
            expected = f"a mask of {image.shape[1]} x {image.shape[0]} px, white on the hand"
            raise InputError(f"{self.root / hand['mask']}: expected {expected}")
        xyz = hand["xyz"]
        vertices = np.full((self.num_vertices, 3), np.nan)
        if hand["mesh"] is not None:
            vertices = np.asarray(read_mesh(self.root / hand["mesh"]).vertices) - xyz[0]
            check_topology(self.root / hand["mesh"], len(vertices), self.num_vertices)
            if (np.linalg.norm(vertices, axis=1) > LARGEST_HAND_M).any():
                raise InputError(
                    f"{self.root / hand['mesh']}: more than {LARGEST_HAND_M:g} m from xyz; expected metres"
                )
        source, left = f"{self.root / ANNOTATIONS}: entry {index}", hand["side"] == "left"
        return square_sample(source, image, mask, hand["points"], vertices, hand["K"], xyz - xyz[0], left)


def _checked(entry: Any, root: Path, source: str) -> dict[str, Any]:
    """An entry with arrays, not a number where it says nothing. Raises InputError that begins with the source."""
    if not isinstance(entry, dict) or not entry.keys() <= KEYS or entry.get("image") is None:
        raise InputError(f"{source}: expected an object with image and some of {', '.join(sorted(KEYS))}")
    hand = {name: entry.get(name) for name in FILES}
    for name, value in hand.items():
        if value is not None and not (isinstance(value, str) and (root / value).is_file()):
            raise InputError(f"{source}: {name} {value!r}: no such file in {root}")
    hand["side"] = entry.get("side", "right")
    if hand["side"] not in ("left", "right"):
        raise InputError(f"{source}: side {hand['side']!r}: expected left or right")
    hand["K"] = _numbers(entry.get("K"), (3, 3), f"{source}: K")
    hand["xyz"] = xyz = _numbers(entry.get("xyz"), (NUM_JOINTS, 3), f"{source}: xyz")
    hand["points"] = _numbers(entry.get("points"), (NUM_JOINTS, 2), f"{source}: points", gaps=True)
    K = hand["K"]
    if np.isfinite(K).all() and not (K[0, 0] > 0 and K[1, 1] > 0 and K[2].tolist() == [0, 0, 1]):
        raise InputError(f"{source}: K: expected focal lengths above 0, in pixels, and 0, 0, 1 in the last row")
    if (abs(xyz) > FARTHEST_M).any():
        raise InputError(f"{source}: xyz: more than {FARTHEST_M} m away; expected metres, are these millimetres?")
    if entry.get("points") is None:
        if np.isnan(K).any() or not (xyz[:, 2] > 0).all():
            raise InputError(f"{source}: expected points, or xyz before the camera (z > 0) and K to project them")
        hand["points"] = project(xyz, K)
    if np.isfinite(hand["points"]).all(axis=1).sum() < LEAST_POINTS:
        raise InputError(f"{source}: points: fewer than {LEAST_POINTS} are known")
    if hand["mesh"] is not None and np.isnan(xyz).any():
        raise InputError(f"{source}: a mesh needs xyz, the joints in the same frame")
    return hand


def _numbers(value: Any, shape: tuple[int, int], source: str, gaps: bool = False) -> np.ndarray:
    """Rows of numbers as an array, not a number where there are none; `gaps`: single rows may be null, too.

    Raises InputError that begins with the source.
    """
    unknown = [np.nan] * shape[1]
    if value is None:
        return np.array([unknown] * shape[0])
    rows = [row for row in value if not (gaps and row is None)] if isinstance(value, list) else [value]
    if any(not isinstance(row, list) or len(row) != shape[1] for row in rows) or len(value) != shape[0]:
        raise InputError(f"{source}: expected {shape[0]} rows of {shape[1]} numbers")
    if any(type(number) not in (int, float) or not abs(number) < LARGEST for row in rows for number in row):
        raise InputError(f"{source}: expected numbers below {LARGEST:g}, without quotes")
    return np.array([row or unknown for row in value], np.float64)
