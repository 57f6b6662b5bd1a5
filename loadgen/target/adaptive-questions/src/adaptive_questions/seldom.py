"""Warnings about something that stays as it is for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

INTERVAL_SECONDS: Final = 60.0


class Seldom:
    """Tells whether it is time to say something again: at once, then once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def due(self) -> bool:
        """Return whether to speak now; if so, the next time is a minute away."""
        now = self._clock()
        if now - self._last < INTERVAL_SECONDS:
            return False
        self._last = now
        return True
