"""Records on disk by number, kept by LMDB (the package `lmdb`).

A record is a dict of NumPy arrays. Several processes may fill a store at a time, and any of them may be killed at any
moment: what was written is there, and what was not is missing. Threads and processes read from it.
"""

import json
import mmap
import os
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import lmdb
import numpy as np
from filelock import FileLock

from handmesh.errors import InputError
from handmesh.files import read_json, remove_leftovers, write_json

CONTENT = "store.json"  # what the records are
LOCK = "filling.lock"
DATA = ("data.mdb", "lock.mdb")
READERS = 1024  # of all processes together
SPARE_BYTES = 1 << 26  # of the map, for what LMDB itself keeps

Record = dict[str, np.ndarray]

# LMDB opens a file once a process and does not survive a fork: each process opens it when it first needs it, and closes
# it before it forks. The lock keeps threads out of the way meanwhile.
_environments: dict[Path, lmdb.Environment] = {}
_in_use = threading.Lock()


def _before_fork() -> None:
    _in_use.acquire()
    for folder in list(_environments):
        _environments.pop(folder).close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_use.release, after_in_child=_in_use.release)


class Store:
    """The records of a folder, which is made where it is missing.

    Args:
        folder: of the store.
        kind: what the records are, for messages.
        recipe: JSON values that decide every byte of them.
        renew: start again with an empty store where the folder holds one of this kind that is damaged or has another
            recipe.

    Raises:
        InputError: the folder cannot be written, holds something else, or, unless `renew`, is damaged or was made by
            another recipe.
    """

    def __init__(self, folder: Path, kind: str, recipe: dict, renew: bool = False) -> None:
        self.folder = folder.absolute()
        self._map_bytes = 0  # the size that the file says
        self._checked: set[int] = set()  # by this process
        content = json.loads(json.dumps({"kind": kind, "recipe": recipe}))
        with locked(self.folder):
            found = self._content()
            if found is None:
                write_json(self.folder / CONTENT, content)
            elif found["kind"] != kind:
                raise InputError(f"{self.folder}: holds {found['kind']}, not {kind}; name another folder")
            else:
                problem = self._problem(content["recipe"], found["recipe"])
                if problem and not renew:
                    raise InputError(f"{self.folder}: {problem}; name another folder or delete this one")
                if problem:
                    print(f"{self.folder}: {problem}, and is made anew")
                    self._empty()
                    write_json(self.folder / CONTENT, content)

    def _content(self) -> dict | None:
        path = self.folder / CONTENT
        if not path.is_file():
            return None
        content = read_json(path, "what the records of a store are")
        if not isinstance(content, dict) or content.keys() != {"kind", "recipe"}:
            raise InputError(f"{self.folder}: holds something else; name another folder")
        return content

    def _problem(self, recipe: dict, found: dict) -> str | None:
        """Why the records that are there cannot be used."""
        changed = sorted(name for name in recipe.keys() | found.keys() if recipe.get(name) != found.get(name))
        if changed:
            return f"was made with another {', '.join(changed)}"
        try:
            with self._transaction() as transaction:
                transaction.stat()
        except InputError:
            return "is damaged"
        return None

    def _empty(self) -> None:
        self.close()
        try:
            for name in DATA:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be emptied ({error.strerror}); name another folder") from error

    def close(self) -> None:
        """Let go of the files; they are opened again when they are needed."""
        with _in_use:
            if self.folder in _environments:
                _environments.pop(self.folder).close()

    def missing(self, numbers: Iterable[int], limit: int | None = None) -> list[int]:
        """Those of some numbers, in their order and up to a limit, that have no record. Raises InputError."""
        with self._transaction() as transaction:
            cursor = transaction.cursor()
            return list(islice((number for number in numbers if not cursor.set_key(_key(number))), limit))

    def read(self, number: int) -> Record:
        """A record, whose arrays are read-only. Raises InputError if it is missing or damaged."""
        with self._transaction() as transaction:
            value = transaction.get(_key(number))
        if number not in self._checked:
            if value is None or int.from_bytes(value[:8], "little") != zlib.crc32(memoryview(value)[8:]):
                raise InputError(f"{self.folder}: record {number} is damaged; delete this folder, it will be made anew")
            self._checked.add(number)
        return _decoded(value)

    def reserve(self, count: int, example: Record) -> None:
        """Make room for more records, each as large as an example. Raises InputError if the disk has none."""
        pages = len(_encoded(example)) // mmap.PAGESIZE + 2
        needed, free = count * pages * mmap.PAGESIZE, shutil.disk_usage(self.folder).free
        if free < needed:
            raise InputError(
                f"{self.folder}: {count} records need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; name a "
                "folder on another disk"
            )
        with self._transaction() as transaction:
            used = transaction.stat()["psize"] * (_environments[self.folder].info()["last_pgno"] + 1)
        with _in_use:
            self._map_bytes = used + needed + SPARE_BYTES
            _environments[self.folder].set_mapsize(self._map_bytes)

    def write(self, records: Iterable[tuple[int, Record]]) -> None:
        """Add records by number, all or none of them; one that is there stays. Raises InputError if it cannot."""
        values = [(_key(number), _encoded(record)) for number, record in records]
        with self._transaction(write=True) as transaction:
            for key, value in values:
                transaction.put(key, value, overwrite=False)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[lmdb.Transaction]:
        with _in_use:
            try:
                with self._begun(write) as transaction:
                    yield transaction
            except lmdb.Error as error:
                what = "written" if write else "read; delete it, it will be made anew"
                raise InputError(f"{self.folder}: cannot be {what} ({error})") from error

    def _begun(self, write: bool) -> lmdb.Transaction:
        if self.folder not in _environments:
            _environments[self.folder] = _opened(self.folder, self._map_bytes)
        environment = _environments[self.folder]
        try:
            return environment.begin(write=write)
        except lmdb.MapResizedError:  # by another process
            environment.set_mapsize(0)
            return environment.begin(write=write)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a store and have other processes that ask for it wait.

    Raises InputError if it cannot be written or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [entry.name for entry in folder.iterdir() if not entry.name.startswith((LOCK, f".{CONTENT}."))]
        if there and not (folder / CONTENT).exists():
            raise InputError(f"{folder}: holds something else; name another folder")
        lock = FileLock(folder / LOCK, is_singleton=True)  # the same thread may ask again
        lock.acquire()
        remove_leftovers(folder / CONTENT)  # not before: what another process is writing looks like them
    except (OSError, NotImplementedError) as error:
        raise InputError(f"{folder}: cannot be written ({error}); name another folder") from error
    try:
        yield
    finally:
        lock.release()


def _opened(folder: Path, map_bytes: int) -> lmdb.Environment:
    environment = lmdb.open(str(folder), map_size=map_bytes, max_readers=READERS)
    whole = environment.stat()["psize"] * (environment.info()["last_pgno"] + 1)
    if (folder / DATA[0]).stat().st_size < whole:  # reading behind its end would end the process
        environment.close()
        raise lmdb.CorruptedError("the file is cut short")
    environment.reader_check()  # forgets those that were killed
    return environment


def _key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _encoded(record: Record) -> bytes:
    """Checksum, length of the layout, the layout, and the bytes of the arrays; numbers lie at multiples of 8."""
    arrays = {name: np.asarray(value) for name, value in record.items()}
    layout = json.dumps([(name, array.dtype.str, array.shape) for name, array in arrays.items()]).encode()
    layout += b" " * (-len(layout) % 8)
    data = b"".join([len(layout).to_bytes(8, "little"), layout, *(array.tobytes() for array in arrays.values())])
    return zlib.crc32(data).to_bytes(8, "little") + data


def _decoded(value: bytes) -> Record:
    begin = 16 + int.from_bytes(value[8:16], "little")
    row = np.frombuffer(value, _layout(value[16:begin]), 1, begin)[0]
    return {name: row[name] for name in row.dtype.names}


@cache
def _layout(text: bytes) -> np.dtype:
    return np.dtype([(name, kind, tuple(shape)) for name, kind, shape in json.loads(text)])
