"""Counts of what became of the events, and warnings that do not flood a log."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

log = logging.getLogger("windsock")

BUFFER_FULL = "buffer_full"
INVALID = "invalid"
REFUSED = "refused"
SPOOL_FULL = "spool_full"
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events of one collector in this process.

    ``accepted`` events are stored by the service. ``rejected`` ones were refused by it, each
    for its own reason. ``dropped`` ones never arrived: ``buffer_full`` (recorded faster than
    sent), ``invalid`` (an argument could not be used), ``refused`` (the service answered the
    batch with an error that a retry cannot cure), ``spool_full`` (the oldest on disk made
    room), ``closed`` (recorded after ``close``, or still unsent when its time was up).
    ``truncated`` counts values that were shortened or left out while their event was kept.
    ``buffered`` waits in memory, ``spooled_batches`` on disk.
    """

    accepted: int = 0
    rejected: int = 0
    batches: int = 0
    retries: int = 0
    truncated: int = 0
    buffered: int = 0
    spooled_batches: int = 0
    dropped: Mapping[str, int] | None = None

    @property
    def dropped_total(self) -> int:
        """All dropped events, whatever the reason."""
        return sum((self.dropped or {}).values())


class Counters:
    """Counts under a lock that a signal handler or a finalizer may enter again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self.last_invalid = ""

    def add(self, name: str, amount: int = 1) -> None:
        with self._lock:
            self._counts[name] += amount

    def drop(self, reason: str, amount: int = 1) -> None:
        with self._lock:
            self._dropped[reason] += amount

    def invalid(self, detail: str) -> None:
        self.last_invalid = detail
        self.drop(INVALID)

    def dropped(self) -> dict[str, int]:
        with self._lock:
            return dict(self._dropped)

    def stats(self, *, buffered: int, spooled_batches: int) -> Stats:
        with self._lock:
            return Stats(
                accepted=self._counts["accepted"],
                rejected=self._counts["rejected"],
                batches=self._counts["batches"],
                retries=self._counts["retries"],
                truncated=self._counts["truncated"],
                buffered=buffered,
                spooled_batches=spooled_batches,
                dropped=dict(self._dropped),
            )


class Warnings:
    """Logs at most one warning per kind and ``interval_seconds``, and says how many it left out."""

    def __init__(
        self, *, interval_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval_seconds
        self._clock = clock
        self._next: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warn(self, kind: str, message: str, *args: object, exc_info: bool = False) -> None:
        now = self._clock()
        if now < self._next.get(kind, now):
            self._left_out[kind] += 1
            return
        self._next[kind] = now + self._interval
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            message, args = message + " (%d more like it since the last warning)", (*args, left_out)
        try:
            log.warning(message, *args, exc_info=exc_info)
        # A filter is the application's, and what raises there must not reach who evaluates a flag.
        except Exception:  # noqa: BLE001
            self._left_out[kind] += 1
