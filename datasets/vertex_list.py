"""The list of FreiHAND's meshes: JSON that takes gigabytes of memory as a whole, and is read by the mesh, once."""

import hashlib
from pathlib import Path

import ijson
import numpy as np
from filelock import FileLock

from datasets.freihand_rows import as_rows, check_equal_lengths, check_points, check_topology
from handmesh.errors import InputError
from handmesh.files import cache_folder, remove_leftovers, replaced


def mapped_vertices(path: Path, count: int, num_vertices: int) -> np.ndarray:
    """Meshes (count, V, 3) float32 of a JSON file, in the frame of the camera, mapped to memory from the user's cache.

    Args:
        count: how many it holds, as the files beside it say.
        num_vertices: of each.

    Raises:
        InputError: it holds something else, or the cache cannot be written.
    """
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {count} {num_vertices}"
    kept = cache_folder() / "vertices" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):  # a second process waits, and then finds it
            if not kept.is_file():
                remove_leftovers(kept)
                with replaced(kept) as temporary:
                    _convert(path, temporary, count, num_vertices)
        return np.load(kept, mmap_mode="r")
    except OSError as error:
        raise InputError(f"{kept}: cannot be written ({error}); make room, or set XDG_CACHE_HOME") from error


def _convert(path: Path, array_file: Path, count: int, num_vertices: int) -> None:
    array = np.lib.format.open_memmap(array_file, "w+", np.float32, (count, num_vertices, 3))
    found = 0
    try:
        source = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    with source as file:
        try:
            for mesh in ijson.items(file, "item", use_float=True):
                if found < count:
                    vertices = as_rows([mesh], path, (None, 3), found)
                    check_topology(path, vertices.shape[1], num_vertices)
                    check_points(path, vertices, found)
                    array[found] = vertices[0]
                found += 1
        except (ijson.JSONError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: not valid JSON after {found} meshes ({error}); it may be cut short") from error
    check_equal_lengths(path.parent, {"training_K.json": range(count), path.name: range(found)})
    array.flush()
