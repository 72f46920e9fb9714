"""Read pickles of arrays without running anything that they name.

`transform.pkl` and `MANO_RIGHT.pkl` are Python 2 pickles from elsewhere. Unpickling calls whatever a file names, so
every name is looked up in the table below and anything else is an error. Sparse matrices and chumpy arrays become
plain stand-ins first; the arrays inside are checked before a matrix is built from them.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from handmesh.errors import InputError

SPARSE_CLASSES = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix, "coo_matrix": sparse.coo_matrix}
CHUMPY_CLASSES = {"Ch", "Select"}


class _Record:
    """Holds the state of a pickled object; the code of its class is never imported."""

    name = ""  # of the class in the file; pickle skips __init__, so it lives on the type

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


def _record_type(name: str) -> type:
    return type(name, (_Record,), {"name": name})


def _reconstruct_object(cls: type, _base: type, _state: Any) -> _Record:
    """Stand-in of copyreg._reconstructor, for records only."""
    if not (isinstance(cls, type) and issubclass(cls, _Record)):
        raise pickle.UnpicklingError("only array containers can be reconstructed")
    return cls()


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in of _codecs.encode, which newer Pythons use to store bytes in old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected text encoding {encoding!r}")
    return text.encode("latin1")


def _array_from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Stand-in of numpy's _frombuffer, which protocol 5 stores contiguous arrays with."""
    if dtype.hasobject:
        raise pickle.UnpicklingError("a buffer cannot hold objects")
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in SPARSE_CLASSES and (module == "scipy.sparse" or module.startswith("scipy.sparse.")):
            return _record_type(name)
        if name in CHUMPY_CLASSES and module in ("chumpy.ch", "chumpy.reordering"):
            return _record_type(name)
        allowed: dict[tuple[str, str], Callable | type] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("copyreg", "_reconstructor"): _reconstruct_object,
            ("copy_reg", "_reconstructor"): _reconstruct_object,
            ("builtins", "object"): object,
            ("__builtin__", "object"): object,
            ("_codecs", "encode"): _encode,
        }
        for package in ("numpy.core", "numpy._core"):
            allowed[package + ".multiarray", "_reconstruct"] = np._core.multiarray._reconstruct
            allowed[package + ".numeric", "_frombuffer"] = _array_from_buffer
            allowed[package + ".multiarray", "scalar"] = np._core.multiarray.scalar
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither an array nor a sparse matrix")
        return allowed[module, name]


def _sparse_from_record(record: _Record) -> sparse.spmatrix:
    state = record.state
    shape = state.get("_shape", state.get("shape"))
    if record.name == "coo_matrix":
        row, col = state["coords"] if "coords" in state else (state["row"], state["col"])
        parts = (state["data"], (row, col))
    else:
        parts = (state["data"], state["indices"], state["indptr"])
    matrix = SPARSE_CLASSES[record.name](parts, shape=tuple(int(size) for size in shape))
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    return matrix


def _chumpy_value(record: _Record) -> np.ndarray:
    """Value of a chumpy array (`Ch`) or of a selection from one (`Select`), as chumpy would compute it."""
    if record.name == "Select":
        source = np.asarray(_convert(record.state["a"])).ravel()
        return source[np.asarray(record.state["idxs"])].reshape(record.state["preferred_shape"])
    return np.asarray(record.state["x"])


def _convert(value: Any, done: dict[int, Any] | None = None) -> Any:
    """Replace records by arrays and matrices. An object that occurs twice is converted once (`done`, by identity)."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    converted = value
    if isinstance(value, _Record):
        converted = _sparse_from_record(value) if value.name in SPARSE_CLASSES else _chumpy_value(value)
    elif isinstance(value, dict):
        converted = {key: _convert(item, done) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        converted = type(value)(_convert(item, done) for item in value)
    done[id(value)] = converted
    return converted


def load_arrays(path: str | Path) -> Any:
    """Unpickle dicts, lists, numbers, text, NumPy arrays, SciPy matrices and chumpy arrays (as NumPy arrays).

    Raises:
        InputError: the file is missing, damaged, or holds anything else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _convert(_ArrayUnpickler(file, encoding="latin1").load())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # a damaged pickle may raise almost anything
        raise InputError(f"{path}: cannot be read as a pickle of arrays ({error})") from error
