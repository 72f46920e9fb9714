"""Files that are whole or absent, and where derived files are kept."""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from handmesh.errors import InputError

OLD_SECONDS = 3600.0  # what a writer is still busy with changes more often


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give the path of a file to be written, which takes the place of `path` when the block ends without an exception.

    Missing folders are made. Raises InputError if the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield folder / path.name
        (folder / path.name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> InputError:
    if error.errno == errno.ENAMETOOLONG:
        return InputError(f"{path}: its name is too long for this file system; choose a shorter one")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return InputError(f"{path.parent}: cannot write here, a part of it is a file; choose another folder")
    return InputError(f"{path}: cannot be written ({error.strerror}); choose another folder")


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Open a file that takes the place of `path` when the block ends without an exception; see `replaced`."""
    encoding = None if "b" in mode else "utf-8"
    with replaced(path) as temporary, temporary.open(mode, encoding=encoding) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left behind: of a file; or of all files of a folder, as far as it is old and
    nobody writes there any more."""
    if not path.is_dir():
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        return
    for leftover in path.glob(".*.tmp/"):
        with suppress(OSError):  # another process may be about to remove it
            inside = list(leftover.iterdir())
            newest = max(one.stat().st_mtime for one in (leftover, *inside))
            if time.time() - newest > OLD_SECONDS and all(leftover.name.startswith(f".{one.name}.") for one in inside):
                shutil.rmtree(leftover)


def remove_matching(folder: Path, pattern: str) -> None:
    """Remove the files of a folder whose whole names match a regular expression: results of an earlier run."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(pattern, path.name):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write JSON atomically."""
    with atomic_write(path, "w") as file:
        file.write(json.dumps(value, indent=indent))


def write_json_rows(path: str | Path, rows: Iterable[Any]) -> None:
    """Write a JSON list atomically, one row at a time, so that a list longer than memory can be written."""
    with atomic_write(path, "w") as file:
        file.write("[")
        for index, row in enumerate(rows):
            file.write((", " if index else "") + json.dumps(row))
        file.write("]")


def read_json(path: str | Path, expected: str) -> Any:
    """Read a JSON file.

    Args:
        expected: what the file should hold, for the error message.

    Raises:
        InputError: the file is missing or not JSON.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); the file may be cut short. Expected {expected}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error


def read_array(path: Path) -> np.ndarray:
    """Read a .npy file that holds numbers, not objects. Raises InputError."""
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged file may raise almost anything
        raise InputError(f"{path}: cannot be read as an array ({error})") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a .npz file that holds numbers, not objects. Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # a damaged file may raise almost anything
        raise InputError(f"{path}: cannot be read as arrays ({error})") from error


def printable(text: str) -> str:
    """A text without what names of files that are not UTF-8 hold, and neither JSON nor a terminal may."""
    return text.encode("utf-8", "replace").decode()


def cache_folder() -> Path:
    """Folder of files that can be derived again: `$XDG_CACHE_HOME/cmr`, or `~/.cache/cmr`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmr"


def content_digest(*arrays: np.ndarray) -> str:
    """Short hexadecimal digest of arrays: their types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]
