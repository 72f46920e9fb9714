"""What a training shows in TensorBoard."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import image, scalar

from handmesh.errors import InputError


class Board:
    """A file of figures and pictures by step, written as they come: tensorboardX's own `SummaryWriter` has a thread
    for that, which ends when the disk is full, and the training then waits for it for ever.

    Args:
        folder: of the run's boards.
        first_step: from which on this one counts, and what earlier ones say no longer does.

    Raises:
        InputError: it cannot be written; so do the methods.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self.writer = EventsWriter(str(folder / "events"))
            self._add(first_step, session_log=SessionLog(status=SessionLog.START))

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Figures by name."""
        with self._writing():
            for name, value in values.items():
                self._add(step, summary=scalar(name, value))
            self.writer.flush()

    def add_image(self, name: str, picture: np.ndarray, step: int) -> None:
        """A picture (H, W, 3) uint8."""
        with self._writing():
            self._add(step, summary=image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """No more will come."""
        with suppress(OSError):  # was reported where it first came up
            self.writer.close()

    def _add(self, step: int, **content: object) -> None:
        self.writer.write_event(Event(wall_time=time.time(), step=step, **content))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be written ({error.strerror})") from error
