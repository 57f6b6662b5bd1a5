"""For the tests of an application: see what it records, without a service or a thread."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from windsock.buffer import Buffer, Record
from windsock.counters import BUFFER_FULL, Counters, Stats
from windsock.encoding import Encoder
from windsock.fields import InvalidFieldError
from windsock.flags.client import FeatureFlags
from windsock.flags.definition import Flag, FlagSet
from windsock.flags.reading import InvalidFlagsError, flag_of, type_of
from windsock.flags.source import MemorySource
from windsock.flags.versions import version_of
from windsock.process import collector, feature_flags
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
        self.counters.add("truncated", self._encoder.truncated())
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


@contextmanager
def flags(given: Mapping[str, object]) -> Generator[FeatureFlags]:
    """Let the flags of this process be ``given``, and no others, inside the block.

    For each key there is either the value that everybody gets, or a definition as in the
    flags file (an object with ``variants``; the key need not be repeated). Raises
    ``ValueError`` for what is neither.
    """
    defined = {key: _flag(key, value) for key, value in given.items()}
    former = feature_flags.install(MemorySource(version_of(FlagSet(defined))))
    try:
        yield feature_flags
    finally:
        feature_flags.install(former)


def _flag(key: str, value: object) -> Flag:
    if isinstance(value, dict) and "variants" in value:
        return flag_of({**value, "key": key}, key)
    kind = type_of(value)
    if kind is None:
        raise InvalidFlagsError(key, f"{value!r} can be no value of a flag")
    variants = {"on": True, "off": False} if kind == "boolean" else {"given": value}
    name = next(name for name, each in variants.items() if each == value)
    return flag_of(
        {"key": key, "type": kind, "variants": variants, "fallthrough": {"variant": name}}, key
    )
