"""The making of a value that several may wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Literal

from adaptive_questions.caches.lookup import Kept, V


class Flight(Generic[V]):
    """Ends once, with a value or an error. Who waits may leave without ending it for others."""

    def __init__(self, key: str, ended: Callable[[Flight[V]], None]) -> None:
        self.key = key
        self.kept: Kept[V] | None = None
        self.error: Exception | None = None
        self.source: Literal["l2", "new"] = "new"
        self.over = asyncio.Event()
        self._ended = ended

    def succeed(self, kept: Kept[V], source: Literal["l2", "new"] = "new") -> None:
        """Give all who wait ``kept``."""
        self.kept, self.source = kept, source
        self._end()

    def fail(self, error: Exception) -> None:
        """Give all who wait ``error``; without effect once the flight has ended."""
        if not self.over.is_set():
            self.error = error
            self._end()

    def _end(self) -> None:
        self._ended(self)
        self.over.set()
