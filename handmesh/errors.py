"""The error that is meant for the person at the keyboard."""


class InputError(Exception):
    """A file, option or sample is not what was expected; the message says which, what was expected, what to do.

    `run.py` prints it without a traceback and leaves with status 2.
    """
