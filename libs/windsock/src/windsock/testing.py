"""For the tests of an application: see what it records, without a service or a thread."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from windsock.buffer import Buffer, Record
from windsock.counters import BUFFER_FULL, Counters, Stats
from windsock.encoding import Encoder
from windsock.fields import InvalidFieldError
from windsock.process import collector
from windsock.settings import Settings

_CAPACITY = 1_000_000


class Captured:
    """What was recorded, as the service would get it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.counters = Counters()
        self.buffer = Buffer(_CAPACITY, self._overflow)
        self.buffer.fast_limit = _CAPACITY
        self._encoder = Encoder(self.settings)
        self._events: list[dict[str, Any]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return all events so far, oldest first."""
        while self.buffer.events:
            record = self.buffer.events.popleft()
            if isinstance(record, tuple):
                try:
                    self._events.append(json.loads(self._encoder.encode(record)))
                except InvalidFieldError as error:
                    self.counters.invalid(str(error))
        return self._events

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one type, such as ``llm_call``."""
        return [event for event in self.events if event["type"] == kind]

    def clear(self) -> None:
        """Forget what was recorded."""
        self.events.clear()

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> bool:
        return True

    def stats(self) -> Stats:
        """Return the counts; nothing is ever sent, so all events are ``buffered``."""
        return self.counters.stats(buffered=len(self.events), spooled_batches=0)

    def after_fork(self) -> Captured:
        return Captured(self.settings)

    def _overflow(self, _: Record, __: int) -> None:
        self.counters.drop(BUFFER_FULL)


@contextmanager
def capture(**settings: object) -> Generator[Captured]:
    """Collect in memory what this process records inside the block; nothing is sent.

    ``settings`` are those of ``windsock.configure``; the environment is not read.
    """
    captured = Captured(Settings().changed(settings))
    former = collector.install(captured)
    try:
        yield captured
    finally:
        collector.install(former)
