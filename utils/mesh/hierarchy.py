"""The levels of a template mesh, with the matrices between them."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from handmesh.errors import InputError
from handmesh.files import atomic_write, cache_folder, content_digest
from utils.mesh.closest_point import upsampling_matrix
from utils.mesh.decimation import decimate

NUM_LEVELS = 5
BUILDER_VERSION = 1  # part of the cache key: raise it when the construction changes


@dataclass(frozen=True)
class MeshHierarchy:
    """Five levels of one surface, finest first.

    Attributes:
        vertices: (V_l, 3) per level; every coarse vertex is a fine vertex.
        faces: (F_l, 3) per level.
        down: (V_{l+1}, V_l) selections, one per pair of levels.
        up: (V_l, V_{l+1}) interpolations, one per pair of levels.
    """

    vertices: tuple[np.ndarray, ...]
    faces: tuple[np.ndarray, ...]
    down: tuple[sparse.csr_matrix, ...]
    up: tuple[sparse.csr_matrix, ...]


def build_hierarchy(vertices: np.ndarray, faces: np.ndarray) -> MeshHierarchy:
    """Halve the vertices four times by quadric decimation.

    Args:
        vertices: (V, 3) positions.
        faces: (F, 3) vertex indices, manifold.

    Raises:
        InputError: the mesh cannot be halved four times.
    """
    all_vertices, all_faces, down, up = [vertices], [np.asarray(faces, np.int64)], [], []
    for _ in range(NUM_LEVELS - 1):
        fine = all_vertices[-1]
        kept, coarse_faces = decimate(fine, all_faces[-1], (len(fine) + 1) // 2)
        coarse = fine[kept]
        selection = (np.ones(len(kept)), (np.arange(len(kept)), kept))
        down.append(sparse.csr_matrix(selection, shape=(len(kept), len(fine))))
        up.append(upsampling_matrix(fine, coarse, coarse_faces))
        all_vertices.append(coarse)
        all_faces.append(coarse_faces)
    return MeshHierarchy(tuple(all_vertices), tuple(all_faces), tuple(down), tuple(up))


def cached_hierarchy(vertices: np.ndarray, faces: np.ndarray) -> MeshHierarchy:
    """`build_hierarchy`, kept on disk under the digest of its input; a damaged cache file is built again."""
    name = content_digest(np.int64(BUILDER_VERSION), np.float64(vertices), np.int64(faces))
    path = cache_folder() / "hierarchies" / f"{name}.npz"
    if path.is_file():
        try:
            return _read(path)
        except Exception:  # a damaged file may raise almost anything; it is replaced below
            warnings.warn(f"{path} is damaged and built again", stacklevel=2)
    hierarchy = build_hierarchy(vertices, faces)
    try:
        _write(path, hierarchy)
    except InputError as error:
        warnings.warn(f"the mesh hierarchy is not cached: {error}", stacklevel=2)
    return hierarchy


def _write(path: Path, hierarchy: MeshHierarchy) -> None:
    arrays: dict[str, np.ndarray] = {}
    for level in range(NUM_LEVELS):
        arrays[f"vertices_{level}"] = hierarchy.vertices[level]
        arrays[f"faces_{level}"] = hierarchy.faces[level]
    for name, matrices in (("down", hierarchy.down), ("up", hierarchy.up)):
        for level, matrix in enumerate(matrices):
            coordinates = matrix.tocoo()
            arrays[f"{name}_{level}"] = np.stack([coordinates.row, coordinates.col, coordinates.data])
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)


def _read(path: Path) -> MeshHierarchy:
    with np.load(path, allow_pickle=False) as data:
        vertices = tuple(data[f"vertices_{level}"] for level in range(NUM_LEVELS))
        faces = tuple(data[f"faces_{level}"] for level in range(NUM_LEVELS))
        matrices = {}
        for name, rows_from in (("down", 1), ("up", 0)):
            matrices[name] = []
            for level in range(NUM_LEVELS - 1):
                row, column, value = data[f"{name}_{level}"]
                shape = (len(vertices[level + rows_from]), len(vertices[level + 1 - rows_from]))
                entries = (value, (row.astype(np.int64), column.astype(np.int64)))
                matrices[name].append(sparse.csr_matrix(entries, shape=shape))
    return MeshHierarchy(vertices, faces, tuple(matrices["down"]), tuple(matrices["up"]))
