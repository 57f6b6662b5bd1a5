"""Ctrl-C and SIGTERM: the first asks for an end in order, a second one ends at once."""

import signal
from types import FrameType
from typing import Self

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Catches both signals inside its block. ``requested`` is polled: a plain value, no lock.

    A signal handler may not set a ``threading.Event`` that its own thread might be holding.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in _STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
