"""The error that is meant for the person at the keyboard."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """A file, option or sample is not what was expected; the message says which, what was expected, what to do.

    `run.py` prints it without a traceback and leaves with status 2.
    """


@contextmanager
def without_traceback() -> Iterator[None]:
    """Leave the program with the message of an `InputError` alone."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
