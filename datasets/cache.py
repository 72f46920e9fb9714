"""Decoded training data on disk: read once from JPEG and JSON, and from a store from then on."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from datasets.augmentation import HandSample
from datasets.freihand_files import FreiHANDFiles, count_numbered
from datasets.freihand_rows import check_topology
from datasets.hand_records import hand_record, read_hand
from datasets.store import Record, Store, locked

VERSION = 3
THREADS = 4  # decoding releases Python's lock
DECODED_AT_A_TIME = 128


class CachedHands:
    """The samples of a `FreiHANDFiles`, to the byte, from a folder that is filled first where it is incomplete.

    Args:
        folder: of the store. One that is damaged, or of other data than there is now, is made anew.
        root: of the data, see `FreiHANDFiles`.
        num_vertices: vertices of the template.

    Raises:
        InputError: the data cannot be used, or is of another hand than the template; the folder cannot be written or
            holds something else.
    """

    def __init__(self, folder: Path, root: Path, num_vertices: int) -> None:
        self.images = count_numbered(root / "training/rgb", "jpg")
        recipe = {"version": VERSION, "source": fingerprint(root)}
        with locked(folder):  # a second process waits, and then finds it filled
            self.store = Store(folder, "decoded images", recipe, renew=True)
            missing = self.store.missing(range(self.images))
            if missing:
                _fill(self.store, missing, FreiHANDFiles(root, num_vertices))
        check_topology(root, len(self.read(0).vertices_m), num_vertices)

    def __len__(self) -> int:
        return self.images

    def read(self, index: int) -> HandSample:
        """Image `index` with its annotation. Raises InputError if it is damaged."""
        return read_hand(self.store, index)


def fingerprint(root: Path) -> str:
    """Digest of names, sizes and times of all files that the training data consists of."""
    digest = hashlib.sha256()
    for path in sorted([*root.glob("training_*.json"), *(root / "training").glob("*")]):
        entries = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else [path]
        for entry in entries:
            status = entry.stat()
            digest.update(f"{path.name}/{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _fill(store: Store, missing: list[int], source: FreiHANDFiles) -> None:
    def decode(index: int) -> Record:
        row, sample = index % len(source.K), source.read(index)
        return hand_record(sample.image, sample.mask, source.vertices_of(row), source.K[row], source.xyz[row])

    store.reserve(len(missing), decode(missing[0]))
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=len(missing), unit="image", desc="decoding", dynamic_ncols=True) as bar,
    ):
        for first in range(0, len(missing), DECODED_AT_A_TIME):
            indices = missing[first : first + DECODED_AT_A_TIME]
            store.write(zip(indices, pool.map(decode, indices), strict=True))
            bar.update(len(indices))
