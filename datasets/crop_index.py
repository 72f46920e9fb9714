"""The index of a folder of crops of hands, to label them or to measure on them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmesh.errors import InputError
from handmesh.joints import NUM_JOINTS

INDEX = "index.csv"
EXPECTED = "file, source, split and x0, y0 ... x20, y20, pixels"


@dataclass(frozen=True)
class Crop:
    """A row of the index.

    Attributes:
        path: of the image.
        source: that the crop is from.
        landmarks_px: (21, 2), about where the joints are in it.
    """

    path: Path
    source: str
    landmarks_px: np.ndarray


def read_crops(folder: Path, split: str, source: str | None = None) -> list[Crop]:
    """The crops of a split in `folder/index.csv`, of one source or of all.

    Raises:
        InputError: there is no index, it has no such crops, or a row of them cannot be used.
    """
    path = folder / INDEX
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("split") == split]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a table with {EXPECTED}") from error
    crops = [_crop(folder, row) for row in rows if source is None or row.get("source") == source]
    if not crops:
        raise InputError(f"{path}: no crop of split {split}{f' and source {source}' if source else ''}")
    return crops


def _crop(folder: Path, row: Mapping[str, str]) -> Crop:
    try:
        landmarks = np.array([[row[f"{axis}{joint}"] for axis in "xy"] for joint in range(NUM_JOINTS)], float)
        crop = Crop(folder / row["file"], row["source"], landmarks)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / INDEX}: {row.get('file')}: expected {EXPECTED}; found {error}") from error
    if not np.isfinite(landmarks).all():
        raise InputError(f"{folder / INDEX}: {row['file']}: a landmark is missing or not finite")
    return crop
