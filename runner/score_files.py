"""Predictions and ground truth as files: FreiHAND's and HO-3D's, joints with or without meshes."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from datasets.freihand_rows import FARTHEST_M, as_rows, check_equal_lengths
from datasets.ho3d import HO3D_TO_FREIHAND, OPENGL_TO_CAMERA
from handmesh.errors import InputError
from handmesh.files import read_json
from handmesh.joints import NUM_JOINTS

MAX_UNZIPPED_BYTES = 4 << 30  # 3,960 meshes are about 0.2 GB of text; guards against zip bombs
EXPECTED = (
    "[xyz, verts]: a list of 21 x 3 joints and a list of V x 3 vertices per sample, which may be empty; metres, camera "
    "space"
)
USUALLY_WITHIN_M = 10  # half of the hands of a file: those of data sets are within 2 m

HO3D = "ho3d"

Hands = tuple[np.ndarray, np.ndarray | None]


def has_ground_truth(root: Path) -> bool:
    """Whether the evaluation annotations are there."""
    return (root / "evaluation_xyz.json").is_file()


def read_ground_truth(root: Path, layout: str = "freihand") -> Hands:
    """Joints (N, 21, 3) and vertices (N, V, 3) of an evaluation set, None where it has joints alone.

    Args:
        root: folder with `evaluation_xyz.json` and perhaps `evaluation_verts.json`.
        layout: of the joints and axes, `freihand` or `ho3d`.

    Raises:
        InputError: a file cannot be used.
    """
    files = [root / f"evaluation_{name}.json" for name in ("xyz", "verts")]
    contents = [read_json(files[0], "a list of 21 x 3 joints per sample")]
    contents.append(read_json(files[1], "a list of V x 3 vertices per sample") if files[1].is_file() else None)
    xyz, vertices = _hands(contents, files, layout)
    if vertices is not None:
        check_equal_lengths(root, {file.name: part for file, part in zip(files, (xyz, vertices), strict=True)})
    return xyz, vertices


def read_prediction(path: Path, layout: str = "freihand") -> Hands:
    """Joints and vertices of a prediction, a .json or a .zip with one .json inside; see `read_ground_truth`.

    Raises:
        InputError: it cannot be used.
    """
    return as_prediction(read_content(path), path, layout)


def read_content(path: Path) -> object:
    """What a .json, or a .zip with one .json inside, holds. Raises InputError."""
    return _read_zip(path) if path.suffix.lower() == ".zip" else read_json(path, EXPECTED)


def as_prediction(content: object, path: Path, layout: str = "freihand") -> Hands:
    """Joints and vertices of a prediction that was read from a file; see `read_prediction`."""
    if not isinstance(content, list) or len(content) not in (1, 2):
        raise InputError(f"{path}: expected {EXPECTED}")
    return _hands([*content, None][:2], [path, path], layout)


def _hands(contents: list[object], files: list[Path], layout: str) -> Hands:
    xyz = as_rows(contents[0], files[0], (NUM_JOINTS, 3))
    vertices = None if _is_empty(contents[1]) else as_rows(contents[1], files[1], (None, 3))
    _check_metres(xyz, files[0])
    if vertices is not None:
        _check_metres(vertices, files[1])
    if layout == HO3D:
        xyz = xyz[:, HO3D_TO_FREIHAND] * OPENGL_TO_CAMERA
        vertices = None if vertices is None else vertices * OPENGL_TO_CAMERA
    return xyz, vertices


def _is_empty(rows: object) -> bool:
    """Whether there is no mesh here: nothing, or nothing for each sample."""
    return rows is None or (isinstance(rows, list) and all(row is None or row == [] for row in rows))


def _check_metres(points: np.ndarray, path: Path) -> None:
    """Raise InputError unless points (N, P, 3) are as far away as hands in metres are."""
    distances = np.abs(points).max(axis=(1, 2))  # not a norm, which overflows
    if np.median(distances) > USUALLY_WITHIN_M:
        raise InputError(f"{path}: hands are {np.median(distances):.4g} m away: in millimetres? Expected metres")
    if distances.max() > FARTHEST_M:
        entry = int(distances.argmax())
        raise InputError(
            f"{path}: entry {entry} is a hand {distances[entry]:.4g} m away: in millimetres? Expected metres"
        )


def _read_zip(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            files = [info for info in archive.infolist() if not info.filename.startswith("__MACOSX/")]
            inside = [info for info in files if info.filename.lower().endswith(".json")]
            if len(inside) != 1:
                raise InputError(f"{path}: holds {len(inside)} .json files, expected one")
            if inside[0].file_size > MAX_UNZIPPED_BYTES:
                raise InputError(f"{path}: {inside[0].filename} unpacks to {inside[0].file_size >> 20} MiB")
            with archive.open(inside[0]) as file:
                return json.load(io.TextIOWrapper(file, "utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {EXPECTED}") from error
    except InputError:
        raise
    except Exception as error:  # a damaged archive may raise almost anything
        raise InputError(f"{path}: cannot be read as a zip with a JSON file ({error})") from error
