"""Decoded training data on disk: read once from JPEG and JSON, mapped into memory from then on."""

import fcntl
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.augmentation import HandSample
from datasets.freihand_files import FreiHANDFiles
from handmesh.errors import InputError
from handmesh.files import content_digest, read_json, write_json
from handmesh.geometry import project

VERSION = 1
MANIFEST = "cache.json"
THREADS = 4  # decoding releases Python's lock
ARRAYS = ("images", "masks", "vertices", "K", "xyz", "checksums")


class CachedHands:
    """The samples of a `FreiHANDFiles`, to the byte, from a cache folder.

    Args:
        folder: an existing cache, see `open_cache`.
        growing: somebody else still writes to it.
    """

    def __init__(self, folder: Path, growing: bool = False) -> None:
        self.folder = folder
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
        # As plain arrays, which stay mapped: taking a row of a `memmap` takes longer than copying a small one.
        self.images, self.masks, self.vertices = (np.asarray(arrays[name]) for name in ("images", "masks", "vertices"))
        small = np.asarray if growing else np.array
        self.K, self.xyz, self.checksums = (small(arrays[name]) for name in ("K", "xyz", "checksums"))
        self.checked = np.zeros(len(self.images), bool)  # by this process

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> HandSample:
        """Image `index` with its annotation. Raises InputError if the cache is damaged there."""
        row = index % len(self.K)
        image, mask, vertices = self.images[index], self.masks[row], self.vertices[row]
        if not self.checked[index]:
            if checksum(image, mask, vertices) != self.checksums[index]:
                raise InputError(f"{self.folder}: sample {index} is damaged; delete this folder, it will be made anew")
            self.checked[index] = True
        side = image.shape[0]
        return HandSample(
            image=image,
            mask=np.unpackbits(mask, count=side * side).reshape(side, side) * np.uint8(255),
            landmarks_px=project(self.xyz[row], self.K[row]),
            vertices_m=vertices.astype(np.float64) - self.xyz[row, 0],
            K=self.K[row],
        )


def new_arrays(
    folder: Path, shapes: dict[str, tuple[tuple[int, ...], type]], final: Path | None = None
) -> dict[str, np.ndarray]:
    """Files `NAME.npy` in a folder, mapped into memory, zeros.

    Args:
        final: what the folder will be called.

    Raises:
        InputError: there is no room for them.
    """
    require_room(folder, shapes, final)
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
        for name, (shape, kind) in shapes.items()
    }


def require_room(
    folder: Path, shapes: dict[str, tuple[tuple[int, ...], type]], final: Path | None = None, share: float = 1.0
) -> None:
    """Raises InputError if a disk has no room for a share of the files of `new_arrays`."""
    needed = share * sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes.values())
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise InputError(
            f"{final or folder}: decoded data needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; name a "
            "folder on another disk with --cache, or do without with --cache none"
        )


def checksum(*arrays: np.ndarray) -> int:
    """CRC-32 over the bytes of arrays."""
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array), total)
    return total


def open_cache(folder: Path, root: Path, num_vertices: int) -> CachedHands:
    """The cache of a data folder, made first where it is missing, incomplete, or of other data than there is now.

    Args:
        folder: of the cache.
        root: of the data, see `FreiHANDFiles`.
        num_vertices: vertices of the template.

    Raises:
        InputError: the data cannot be used, or there is no room for the cache.
    """
    identity = {"version": VERSION, "num_vertices": num_vertices, "source": fingerprint(root)}
    with _locked(folder):
        if not _is_complete(folder, identity):
            if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
                raise InputError(f"--cache {folder}: holds something else; name another folder")
            for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a build that was killed
                shutil.rmtree(leftover)
            temporary = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
            temporary.mkdir()
            try:
                _build(temporary, FreiHANDFiles(root, num_vertices), folder)
                sizes = {path.name: path.stat().st_size for path in temporary.glob("*.npy")}
                write_json(temporary / MANIFEST, {**identity, "sizes": sizes, "annotations": _digest(temporary)})
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return CachedHands(folder)


def fingerprint(root: Path) -> str:
    """Digest of names, sizes and times of all files that the training data consists of."""
    digest = hashlib.sha256()
    for path in sorted([*root.glob("training_*.json"), *(root / "training").glob("*")]):
        entries = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else [path]
        for entry in entries:
            status = entry.stat()
            digest.update(f"{path.name}/{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _is_complete(folder: Path, identity: dict) -> bool:
    if not (folder / MANIFEST).is_file():
        return False
    try:
        manifest = read_json(folder / MANIFEST, "the manifest of a cache")
        sizes = {f"{name}.npy": (folder / f"{name}.npy").stat().st_size for name in ARRAYS}
        same = {name: manifest.get(name) for name in identity} == identity and manifest.get("sizes") == sizes
        if same and manifest.get("annotations") == _digest(folder):
            return True
    except (InputError, OSError, AttributeError, ValueError):
        pass
    print(f"{folder}: of other data or damaged, made anew")
    return False


def _digest(folder: Path) -> str:
    return content_digest(*(np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("K", "xyz", "checksums")))


def _build(folder: Path, source: FreiHANDFiles, final: Path) -> None:
    first = source.read(0)
    side, hands = first.image.shape[0], len(source.K)
    shapes = {
        "images": ((len(source), side, side, 3), np.uint8),
        "masks": ((hands, (side * side + 7) // 8), np.uint8),
        "vertices": ((hands, *first.vertices_m.shape), np.float32),
        "checksums": ((len(source),), np.uint32),
    }
    arrays = new_arrays(folder, shapes, final)

    def decode(index: int) -> None:
        row = index % hands
        sample = source.read(index)
        if sample.image.shape[0] != side:
            raise InputError(
                f"{source.root}: image {index:08d} is {sample.image.shape[0]} px wide and the first one {side} px; "
                "images of several sizes cannot be cached: use --cache none"
            )
        mask, vertices = np.packbits(sample.mask > 0), source.vertices_of(row).astype(np.float32)
        arrays["images"][index] = sample.image
        if index == row:
            arrays["masks"][row], arrays["vertices"][row] = mask, vertices
        arrays["checksums"][index] = checksum(sample.image, mask, vertices)

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in tqdm(pool.map(decode, range(len(source))), total=len(source), unit="image", desc="decoding"):
            pass
    for array in arrays.values():
        array.flush()
    np.save(folder / "K.npy", source.K)
    np.save(folder / "xyz.npy", source.xyz)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: a second one waits, and then finds the cache made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise InputError(f"--cache {folder}: cannot write here ({error.strerror}); name another folder") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
