"""The Rendered Hand Pose Dataset (Zimmermann and Brox 2017): joints and masks, no meshes."""

from pathlib import Path

import cv2
import numpy as np

from datasets.augmentation import HandSample
from datasets.freihand_rows import check_cameras
from datasets.square import square_sample
from handmesh.errors import InputError
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from utils.restricted_pickle import load_arrays

ANNOTATIONS = "anno_training.pickle"
HANDS = (("left", 0, 2), ("right", NUM_JOINTS, 18))  # first row of the annotation, first value of the mask
MASK_VALUES = 16  # of a hand
LEAST_VISIBLE = 11  # joints of a hand that is worth learning from
# A finger goes from its tip to its knuckle. Entry i is the row of FreiHAND joint i.
RHD_TO_FREIHAND = [0, *(row for first in range(1, NUM_JOINTS, 4) for row in range(first + 3, first - 1, -1))]
SHAPES = {"K": (3, 3), "xyz": (2 * NUM_JOINTS, 3), "uv_vis": (2 * NUM_JOINTS, 3)}


class RHDFiles:
    """Every hand of the training images of which most joints are visible; the left ones mirrored.

    Args:
        root: folder with `training/color`, `training/mask` and `training/anno_training.pickle`.
        num_vertices: vertices of the template.

    Raises:
        InputError: the annotation is missing or is something else.
    """

    def __init__(self, root: Path, num_vertices: int) -> None:
        self.folder, self.num_vertices = root / "training", num_vertices
        path = self.folder / ANNOTATIONS
        self.annotations = load_arrays(path)
        if not isinstance(self.annotations, dict):
            raise InputError(f"{path}: holds a {type(self.annotations).__name__}, expected a dict by number of image")
        for number, annotation in self.annotations.items():
            found = {name: np.shape(annotation.get(name)) for name in SHAPES} if isinstance(annotation, dict) else {}
            if found != SHAPES or not isinstance(number, int):
                raise InputError(f"{path}: entry {number!r} has the shapes {found}, expected {SHAPES}")
            try:
                arrays = {name: np.asarray(annotation[name], np.float64) for name in SHAPES}
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}: entry {number}: expected numbers ({error})") from error
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise InputError(f"{path}: entry {number} is not finite")
            check_cameras(path, arrays["K"][None], number)
            self.annotations[number] = arrays
        self.hands = [
            (number, hand)
            for number in sorted(self.annotations)
            for hand in range(len(HANDS))
            if self._rows(number, hand, "uv_vis")[:, 2].sum() >= LEAST_VISIBLE
        ]

    def __len__(self) -> int:
        return len(self.hands)

    def _rows(self, number: int, hand: int, name: str) -> np.ndarray:
        """Rows (21, 3) of a hand, in FreiHAND order."""
        first = HANDS[hand][1]
        return self.annotations[number][name][first : first + NUM_JOINTS][RHD_TO_FREIHAND]

    def read(self, index: int) -> HandSample:
        """Hand `index` with its annotation. Raises InputError if a file cannot be read."""
        number, hand = self.hands[index]
        side, _, value = HANDS[hand]
        image = read_image(self.folder / "color" / f"{number:05d}.png")
        path = self.folder / "mask" / f"{number:05d}.png"
        parts = read_image(path, cv2.IMREAD_GRAYSCALE)
        if parts.shape != image.shape[:2]:
            raise InputError(f"{path}: {parts.shape[1]} x {parts.shape[0]} px, expected the size of its image")
        mask = (parts >= value) & (parts < value + MASK_VALUES)
        joints = self._rows(number, hand, "xyz")
        return square_sample(
            f"{self.folder / ANNOTATIONS}: entry {number}",
            image,
            np.where(mask, np.uint8(255), np.uint8(0)),
            self._rows(number, hand, "uv_vis")[:, :2],
            np.full((self.num_vertices, 3), np.nan),
            self.annotations[number]["K"],
            joints - joints[0],
            side == "left",
        )
