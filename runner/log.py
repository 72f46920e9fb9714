"""The log of a run."""

import logging
import sys
from pathlib import Path

from handmesh.errors import InputError


class LogFile(logging.FileHandler):
    """A file that says so when it cannot be written: `logging` prints a traceback and goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name that logging calls
        """Raise InputError."""
        error = sys.exc_info()[1]
        raise InputError(f"{self.baseFilename}: cannot be written ({getattr(error, 'strerror', error)})") from error


def start_log(path: Path) -> logging.Logger:
    """A logger that writes to the terminal and appends to `path`.

    Raises:
        InputError: the file cannot be written, now or later.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers = [LogFile(path), logging.StreamHandler()]
    except OSError as error:
        raise InputError(f"{path}: cannot write here ({error.strerror}); choose another --out_dir") from error
    logger = logging.getLogger(f"cmr.{path}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for old in list(logger.handlers):
        old.close()
        logger.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    return logger


def silent_log() -> logging.Logger:
    """For the processes beside the one that logs."""
    logger = logging.getLogger("cmr.silent")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
