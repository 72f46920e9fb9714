"""Camera-space hand mesh recovery: the one entry point. See --help and README.md."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from options import Options

PHASES = {
    "train": ("runner.train", "train"),
    "eval": ("runner.evaluate", "evaluate"),
    "demo": ("runner.demo", "demo"),
    "export": ("runner.export", "export"),
    "score": ("runner.score", "score"),
    "synth": ("runner.synth", "synthesize"),
    "fit_mano": ("runner.fit_mano", "fit_or_pose"),
}
INTERRUPTED = 130


def run(options: "Options") -> int:
    """Hand over to the code of the phase; returns the exit status."""
    module, function = PHASES[options.phase]
    with _leaving_at_once():
        phase = getattr(import_module(module), function)
    return phase(options) or 0


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """While modules load, Ctrl-C ends the process: an exception may come up where a library swallows or wraps it."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    try:
        with _leaving_at_once():
            from options import parse_options
        return run(parse_options(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # Here, because --help need not wait for them.
        from handmesh.errors import InputError
        from runner.errors import TrainingDivergedError

        if not isinstance(error, InputError | TrainingDivergedError):
            raise
        # An error in a data worker arrives wrapped in the worker's traceback; its own message is the last part.
        print(f"error: {str(error).rpartition('InputError: ')[2].strip()}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


if __name__ == "__main__":
    sys.exit(main())
