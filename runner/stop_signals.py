"""Ctrl-C and SIGTERM as a wish to stop at the next good moment."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context in which the first signal is remembered, as `number`, and the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> "StopSignals":
        self.previous = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def any(self) -> bool:
        """Whether there was a signal."""
        return self.number is not None

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number
