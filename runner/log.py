"""The log of a run."""

import logging
from pathlib import Path

from handmesh.errors import InputError


def start_log(path: Path) -> logging.Logger:
    """A logger that writes to the terminal and appends to `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers = [logging.FileHandler(path), logging.StreamHandler()]
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
