"""A folder of images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmesh.errors import InputError
from handmesh.images import IMAGE_SUFFIXES, read_image

NAME_ENDING = "_img"  # of the released demo images; not part of the name
MIN_SIDE_PX = 16
RESULT_ENDING = "_plot"  # of our own results, never an input


@dataclass(frozen=True)
class ImageEntry:
    """An image file and the name its results get."""

    name: str
    path: Path

    def read(self) -> np.ndarray:
        """RGB image (H, W, 3) uint8, upright. Raises InputError."""
        image = read_image(self.path)
        if min(image.shape[:2]) < MIN_SIDE_PX:
            raise InputError(f"{self.path}: {image.shape[1]} x {image.shape[0]} px, too small to show a hand")
        return image


def list_images(folder: str | Path) -> list[ImageEntry]:
    """All images of a folder, by name.

    Raises:
        InputError: there is no such folder, it holds no image, or two images have the same name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with images")
    entries: dict[str, ImageEntry] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.stem.endswith(RESULT_ENDING) or path.name.startswith("."):
            continue
        name = path.stem.removesuffix(NAME_ENDING)
        if name in entries:
            raise InputError(f"{path} and {entries[name].path.name} have the same name {name}: rename one of them")
        entries[name] = ImageEntry(name, path)
    if not entries:
        raise InputError(f"{folder}: no image in it; expected {', '.join(IMAGE_SUFFIXES)}")
    return list(entries.values())
