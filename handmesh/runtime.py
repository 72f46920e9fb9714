"""Networks as files: ONNX Runtime on the CPU."""

import ctypes
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from handmesh.errors import InputError

DATA = Path(__file__).parent / "data"  # the networks that come with this package
CHECKSUMS = DATA / "SHA256SUMS"  # of them; `scripts/checksums.py` writes it
MOST_THREADS = 4  # networks this small gain nothing from more


class OnnxModel:
    """An ONNX file that is called with arrays. Threads may share it; it can be pickled, and a forked process opens the
    file again, because the threads of its parent are not there.

    Args:
        path: of the file.
        threads: that one call may use; None takes as many as there are cores, at most `MOST_THREADS`.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = Path(path)
        self.threads = threads or min(os.cpu_count() or 1, MOST_THREADS)
        self._open()

    def _open(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3  # errors only
        # Waiting threads of one network would take the cores from the next one.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        content = self._content()
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a damaged file may raise almost anything
            raise InputError(f"{self.path}: cannot be read as a network ({str(error).splitlines()[0]})") from error
        self._process = os.getpid()

    def _content(self) -> bytes:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}; expected a network (.onnx)") from error
        if self.path.parent == DATA and f"{hashlib.sha256(content).hexdigest()}  {self.path.name}" not in _checksums():
            raise InputError(f"{self.path}: damaged, its checksum is another; install handmesh again")
        return content

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The open file, of this process."""
        if self._process != os.getpid():
            # The parent's session is never closed here: that would wait for threads which a fork leaves behind.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._open()
        return self._session

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself."""
        return self.session.get_modelmeta().custom_metadata_map

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs, by name."""
        session = self.session
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def __getstate__(self) -> dict:
        return {"path": self.path, "threads": self.threads}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()


def _checksums() -> list[str]:
    return CHECKSUMS.read_text("utf-8").splitlines()
