"""Look-ups that make what is missing, once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Generic, Literal

import windsock
from adaptive_questions.caches.flight import Flight
from adaptive_questions.caches.lookup import Kept, Miss, V
from adaptive_questions.caches.memory import MemoryCache
from adaptive_questions.caches.remote import RemoteCache

Make = Callable[[Sequence[Flight[V]]], Awaitable[None]]
"""Ends each of the flights; those that it leaves open fail with what it raises."""

GRACE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """A value, and where it came from: shared is what another request was making already."""

    value: V
    source: Literal["l1", "l2", "shared", "new"]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Look-ups by layer since the start, and how many joined a value in the making."""

    entries: int
    l1_hits: int
    l1_misses: int
    l2_hits: int
    l2_misses: int
    shared: int


class ReadThrough(Generic[V]):
    """A cache of one or two layers. Equal keys are made once at a time, failures are not kept."""

    def __init__(self, near: MemoryCache[V], far: RemoteCache[V] | None) -> None:
        self._near = near
        self._far = far
        self._flights: dict[str, Flight[V]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shared = 0

    async def find(
        self,
        wanted: Mapping[str, str | None],
        make: Make[V],
        *,
        operation: str,
        context: Context | None = None,
    ) -> dict[str, Found[V] | Exception]:
        """Return for each key its value, or the error that its making ended with.

        ``wanted`` maps keys to the gap_priority of their cache events; ``None`` is the ambient
        one. What is missing is made in a task of its own, in ``context`` or else a copy of the
        caller's: it goes on for the others, and for the cache, when the caller is cancelled.
        """
        found: dict[str, Found[V] | Exception] = {}
        led: list[Flight[V]] = []
        joined: list[Flight[V]] = []
        for key, priority in wanted.items():
            kept = self._near.get(key)
            _tell(operation, "l1", kept, priority)
            if isinstance(kept, Kept):
                found[key] = Found(kept.value, "l1")
            elif key in self._flights:
                joined.append(self._flights[key])
            else:
                self._flights[key] = Flight(key, self._ended)
                led.append(self._flights[key])
        self._shared += len(joined)
        if led:
            priorities = [wanted[flight.key] for flight in led]
            work = self._lead(led, make, operation, priorities)
            task = asyncio.create_task(work, context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for flight in led + joined:
            await flight.over.wait()
            found[flight.key] = _outcome(flight, shared=flight not in led)
        return found

    def stats(self) -> CacheStats:
        """Return the counts so far."""
        near, far = self._near.lookups, self._far.lookups if self._far is not None else None
        return CacheStats(
            entries=len(self._near),
            l1_hits=near.hits,
            l1_misses=near.misses,
            l2_hits=far.hits if far is not None else 0,
            l2_misses=far.misses if far is not None else 0,
            shared=self._shared,
        )

    async def close(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Let what is being made end, for ``grace_seconds``; who waits longer gets an error."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, flight: Flight[V]) -> None:
        # In one step, so that whoever comes finds either the flight or its value.
        del self._flights[flight.key]
        if flight.kept is not None:
            self._near.put(flight.key, flight.kept)

    async def _lead(
        self,
        flights: Sequence[Flight[V]],
        make: Make[V],
        operation: str,
        priorities: Sequence[str | None],
    ) -> None:
        reason: Exception = RuntimeError("closed while the value was being made")
        missing: Sequence[Flight[V]] = ()
        try:
            missing = await self._from_far(flights, operation, priorities)
            if missing:
                await make(missing)
        except Exception as error:  # noqa: BLE001  Those who wait raise it; here nobody would see it.
            reason = error
        finally:
            for flight in flights:
                flight.fail(reason)
        if self._far is not None:
            made = {each.key: each.kept for each in missing if each.kept is not None}
            if made:
                await self._far.put(made)

    async def _from_far(
        self, flights: Sequence[Flight[V]], operation: str, priorities: Sequence[str | None]
    ) -> list[Flight[V]]:
        """End the flights whose values are in the second layer, and return the others."""
        if self._far is None:
            return list(flights)
        missing = []
        found = await self._far.get([flight.key for flight in flights])
        for flight, kept, priority in zip(flights, found, priorities, strict=True):
            _tell(operation, "l2", kept, priority)
            if isinstance(kept, Kept):
                flight.succeed(kept, "l2")
            else:
                missing.append(flight)
        return missing


def _outcome(flight: Flight[V], *, shared: bool) -> Found[V] | Exception:
    if flight.kept is None:
        assert flight.error is not None
        return flight.error
    return Found(flight.kept.value, "shared" if shared else flight.source)


def _tell(operation: str, layer: str, kept: Kept[V] | Miss, priority: str | None) -> None:
    hit = isinstance(kept, Kept)
    windsock.get_metrics_collector().record_cache_event(
        operation,
        layer=layer,
        hit=hit,
        miss_reason=kept.reason if isinstance(kept, Miss) else None,
        saved_ms=kept.made_ms if isinstance(kept, Kept) else None,
        gap_priority=priority,
    )
