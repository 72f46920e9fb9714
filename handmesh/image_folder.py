"""Image files, from folders and by name."""

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handmesh.camera import NAME_ENDING, SHARED_NAME
from handmesh.errors import InputError
from handmesh.images import IMAGE_SUFFIXES, PILLOW_SUFFIXES, read_image
from handmesh.intrinsics import SUFFIXES as INTRINSICS_SUFFIXES

MIN_SIDE_PX = 16
SUFFIXES = (*IMAGE_SUFFIXES, *PILLOW_SUFFIXES)
RESULT_ENDINGS = (
    "_plot.jpg",
    "_hands.json",
    "_vertices.json",
    "_overlay.jpg",
    "_mask.png",
    "_overlay.mp4",
    "_angles.png",
    "_angles.csv",
    "_hands.npz",
    ".bvh",
    "index.html",
    ".ply",
    ".obj",
    ".glb",
)


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


def find_images(sources: Sequence[str | Path]) -> tuple[list[ImageEntry], list[str]]:
    """Images of folders, files and patterns, by name.

    Args:
        sources: folders, whose files are all looked at but for our own results and intrinsics; files; or patterns with
            `*`, `?` and `[...]`.

    Returns:
        The images, each with a name of its own, and for each file that is none what is wrong with it.

    Raises:
        InputError: a source is not there, or there is no image at all.
    """
    paths, others = [], []
    for source in map(Path, sources):
        if source.is_dir():
            listed = sorted(path for path in source.iterdir() if not _is_passed_over(path))
            others += [path for path in listed if path.suffix.lower() not in SUFFIXES]
            paths += [path for path in listed if path.suffix.lower() in SUFFIXES]
        elif source.exists():
            if not _is_intrinsics(source):  # as patterns that a shell fills in name them
                (paths if source.suffix.lower() in SUFFIXES else others).append(source)
        else:
            matches = sorted(path for path in map(Path, glob.glob(str(source))) if path.suffix.lower() in SUFFIXES)  # noqa: PTH207 (patterns may be absolute)
            if not matches:
                raise InputError(f"{source}: no such file or folder; expected images")
            paths += matches
    if not paths:
        raise InputError(f"{', '.join(map(str, sources))}: no image in it; expected {', '.join(SUFFIXES)}")
    named = _told_apart([ImageEntry(path.stem.removesuffix(NAME_ENDING), path) for path in paths])
    return named, [f"{path}: not an image; expected {', '.join(SUFFIXES)}" for path in others]


def _is_passed_over(path: Path) -> bool:
    """Whether a file of a folder is hidden, our own, or belongs to an image."""
    hidden = path.name.startswith((".", "README", "LICENSE")) or path.is_dir()
    return hidden or _is_intrinsics(path) or path.name.endswith(RESULT_ENDINGS)


def _is_intrinsics(path: Path) -> bool:
    return path.suffix in INTRINSICS_SUFFIXES and (path.stem == SHARED_NAME or path.stem.endswith("_K"))


def _told_apart(entries: list[ImageEntry]) -> list[ImageEntry]:
    """Entries whose names differ: those of one name get the file's ending, then the folder's name, then a number."""
    renames = (
        lambda entry, _number: f"{entry.name}_{entry.path.suffix[1:]}",
        lambda entry, _number: f"{entry.path.parent.name}_{entry.name}",
        lambda entry, number: f"{entry.name}_{number}",
    )
    for rename in renames:
        counts = Counter(entry.name for entry in entries)
        entries = [
            replace(entry, name=rename(entry, number)) if counts[entry.name] > 1 else entry
            for number, entry in enumerate(entries)
        ]
    return entries
