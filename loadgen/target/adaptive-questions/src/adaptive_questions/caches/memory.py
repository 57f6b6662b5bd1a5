"""The first layer: this process's memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from adaptive_questions.caches.lookup import Ghosts, Kept, Lookups, Miss, V


class MemoryCache(Generic[V]):
    """Keeps the ``capacity`` entries that were used last, each for at most ``ttl_seconds``."""

    def __init__(
        self, *, capacity: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lookups = Lookups()
        self._capacity = capacity
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[Kept[V], float]] = OrderedDict()
        self._ghosts = Ghosts(capacity)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Kept[V] | Miss:
        """Return what is kept under ``key``, which counts as a use."""
        found = self._entries.get(key)
        now = self._clock()
        if found is not None and now < found[1]:
            self._entries.move_to_end(key)
            self.lookups.hits += 1
            return found[0]
        if found is not None:
            self._drop(key)
        self.lookups.misses += 1
        return Miss(self._ghosts.reason(key, now))

    def put(self, key: str, kept: Kept[V]) -> None:
        """Keep an entry; the one that was not used for longest makes room for it."""
        self._entries[key] = kept, self._clock() + self._ttl_seconds
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        _, until = self._entries.pop(key)
        self._ghosts.remember(key, until)
