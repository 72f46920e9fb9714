"""The training files of FreiHAND (Zimmermann et al. 2019), v2 layout, checked before the first sample is read."""

import os
import re
from pathlib import Path

import cv2
import numpy as np

from datasets.augmentation import HandSample
from datasets.freihand_rows import check_cameras, check_equal_lengths, check_points, check_topology, read_rows
from datasets.vertex_list import mapped_vertices
from handmesh.errors import InputError
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
        annotations = len(self.K)
        check_equal_lengths(self.root, {"training_K.json": self.K, "training_xyz.json": self.xyz})
        check_cameras(self.root / "training_K.json", self.K)
        check_points(self.root / "training_xyz.json", self.xyz)
        vertices_file = self.root / "training_verts.json"
        self.vertices = None
        if vertices_file.is_file():
            self.vertices = mapped_vertices(vertices_file, annotations, num_vertices)
        elif not (self.root / "training/mesh").is_dir():
            raise InputError(f"{vertices_file}: no such file, and no {self.root / 'training/mesh'} with meshes either")

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
        mask_file = self.root / "training/mask" / f"{row:08d}.jpg"
        mask = read_image(mask_file, cv2.IMREAD_GRAYSCALE)
        if not mask.shape == image.shape[:2] == (self.side, self.side):
            raise InputError(
                f"{self.root}: image {index:08d} is {image.shape[1]} x {image.shape[0]} and its mask "
                f"{mask.shape[1]} x {mask.shape[0]} px; expected squares of {self.side} px, as the first image"
            )
        if mask.max() <= MASK_THRESHOLD:
            raise InputError(f"{mask_file}: shows no hand; expected pixels above {MASK_THRESHOLD} where it is")
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
        check_points(path, vertices[None])
        return vertices


def count_numbered(folder: Path, suffix: str) -> int:
    """Number of files 00000000.suffix, 00000001.suffix, ... without a gap, at least 1. Raises InputError."""
    names = sorted(name for name in _file_names(folder) if name.endswith(f".{suffix}"))
    stray = next((name for name in names if not re.fullmatch(r"[0-9]{8}\.\w+", name)), None)
    if stray is not None:
        raise InputError(f"{folder / stray}: does not belong here; expected names like 00000000.{suffix}")
    require_numbered(folder, suffix, max(len(names), 1))
    return len(names)


def require_numbered(folder: Path, suffix: str, count: int) -> None:
    """Raise InputError unless the folder holds at least the files 0 to count - 1."""
    names = _file_names(folder)
    missing = next((name for i in range(count) if (name := f"{i:08d}.{suffix}") not in names), None)
    if missing is not None:
        later = max((name for name in names if name > missing and name.endswith(f".{suffix}")), default=None)
        found = f", but {later} is there" if later else ""
        raise InputError(f"{folder / missing}: no such file{found}; expected {count} without a gap")


def _file_names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise InputError(f"{folder}: no such folder; docs/data.md has the layout") from error
