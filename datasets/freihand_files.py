"""The training files of FreiHAND (Zimmermann et al. 2019), v2 layout, checked before the first sample is read."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from datasets.augmentation import HandSample
from handmesh.errors import InputError
from handmesh.files import read_json
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from utils.mesh.files import read_mesh

VERSIONS = ("gs", "hom", "sample", "auto")  # backgrounds of the training images: index + k * number of annotations
MASK_THRESHOLD = 240


class FreiHANDFiles:
    """Annotated training images, decoded when asked for.

    Args:
        root: folder with `training/rgb`, `training/mask`, `training_K.json`, `training_xyz.json` and either
            `training_verts.json` or `training/mesh/%08d.ply`.
        num_vertices: vertices of the template.

    Raises:
        InputError: a file is missing, damaged or does not fit the others; the message names it.
    """

    def __init__(self, root: str | Path, num_vertices: int) -> None:
        self.root = Path(root)
        self.K = read_rows(self.root / "training_K.json", (3, 3))
        self.xyz = read_rows(self.root / "training_xyz.json", (NUM_JOINTS, 3))
        self.num_vertices = num_vertices
        vertices_file = self.root / "training_verts.json"
        self.vertices = None
        if vertices_file.is_file():
            self.vertices = read_rows(vertices_file, (None, 3)).astype(np.float32)
            check_topology(vertices_file, self.vertices.shape[1], num_vertices)
        elif not (self.root / "training/mesh").is_dir():
            raise InputError(f"{vertices_file}: no such file, and no {self.root / 'training/mesh'} with meshes either")
        counted = {"training_K.json": self.K, "training_xyz.json": self.xyz, "training_verts.json": self.vertices}
        check_equal_lengths(self.root, {name: rows for name, rows in counted.items() if rows is not None})

        annotations = len(self.K)
        images = count_numbered(self.root / "training/rgb", "jpg")
        if images % annotations or not 1 <= images // annotations <= len(VERSIONS):
            raise InputError(
                f"{self.root / 'training/rgb'}: {images} images for {annotations} annotations; expected one to four "
                f"versions ({', '.join(VERSIONS)}) of each, numbered index + k * {annotations}"
            )
        self.num_images = images
        self.side = len(read_image(self.root / "training/rgb" / f"{0:08d}.jpg"))
        require_numbered(self.root / "training/mask", "jpg", annotations)
        if self.vertices is None:
            require_numbered(self.root / "training/mesh", "ply", annotations)

    def __len__(self) -> int:
        return self.num_images

    def read(self, index: int) -> HandSample:
        """Image `index` with its annotation. Raises InputError if a file cannot be read."""
        row = index % len(self.K)
        image = read_image(self.root / "training/rgb" / f"{index:08d}.jpg")
        mask = read_image(self.root / "training/mask" / f"{row:08d}.jpg", cv2.IMREAD_GRAYSCALE)
        if not mask.shape == image.shape[:2] == (self.side, self.side):
            raise InputError(
                f"{self.root}: image {index:08d} is {image.shape[1]} x {image.shape[0]} and its mask "
                f"{mask.shape[1]} x {mask.shape[0]} px; expected squares of {self.side} px, as the first image"
            )
        return HandSample(
            image=image,
            mask=np.where(mask > MASK_THRESHOLD, np.uint8(255), np.uint8(0)),
            landmarks_px=project(self.xyz[row], self.K[row]),
            vertices_m=self.vertices_of(row) - self.xyz[row, 0],
            K=self.K[row],
        )

    def vertices_of(self, row: int) -> np.ndarray:
        """Camera-space mesh (V, 3) float64 of an annotation. Raises InputError."""
        if self.vertices is not None:
            return self.vertices[row].astype(np.float64)
        path = self.root / "training/mesh" / f"{row:08d}.ply"
        vertices = np.asarray(read_mesh(path).vertices)
        check_topology(path, len(vertices), self.num_vertices)
        return vertices


def read_rows(path: Path, shape: tuple[int | None, int]) -> np.ndarray:
    """Read a JSON list of matrices of one shape: (N, *shape), N at least 1. Raises InputError."""
    return as_rows(read_json(path, _expected(shape)), path, shape)


def as_rows(rows: object, path: Path, shape: tuple[int | None, int]) -> np.ndarray:
    """Finite matrices of one shape as an array (N, *shape), N at least 1.

    Args:
        rows: what a JSON file held.
        path: that file, for the error message.
        shape: of each matrix; None leaves the number of its rows open.

    Raises:
        InputError: it is something else.
    """
    try:
        array = np.asarray(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.ndim != 3 or not array.size or array.shape[2] != shape[1] or shape[0] not in (None, array.shape[1]):
        raise InputError(f"{path}: {_describe(rows, array)}; expected {_expected(shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: entry {int(np.argwhere(~np.isfinite(array))[0][0])} is not finite")
    for entry, matrix in enumerate(rows):
        if not set(map(type, chain.from_iterable(matrix))) <= {int, float}:  # NumPy takes "1" and true for numbers
            raise InputError(f"{path}: entry {entry} holds text, or true or false; expected numbers")
    return array


def _expected(shape: tuple[int | None, int]) -> str:
    return f"a list of {shape[0] or 'V'} x {shape[1]} matrices"


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


def count_numbered(folder: Path, suffix: str) -> int:
    """Number of files 00000000.suffix, 00000001.suffix, ... without a gap, at least 1. Raises InputError."""
    count = sum(name.endswith(f".{suffix}") for name in _file_names(folder))
    require_numbered(folder, suffix, max(count, 1))
    return count


def require_numbered(folder: Path, suffix: str, count: int) -> None:
    """Raise InputError unless the folder holds at least the files 0 to count - 1."""
    names = _file_names(folder)
    missing = next((name for i in range(count) if (name := f"{i:08d}.{suffix}") not in names), None)
    if missing is not None:
        raise InputError(f"{folder / missing}: no such file; expected {count} without a gap")


def _file_names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise InputError(f"{folder}: no such folder; see the data layout in README.md") from error
