"""Spans and points into the store, each once: what is new is told inside the transaction that stores it."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.event import Measurement
from metrics_svc.ingest import Ingest, Prepared
from metrics_svc.instruments import Instruments
from metrics_svc.otlp.counters import advance, dump_state, load_state
from metrics_svc.otlp.points import Kind, Point
from metrics_svc.otlp.spans import Admitted
from metrics_svc.store import admissions

Connection = PoolConnectionProxy


class OtlpIntake:
    """Takes parts of exports in; returns after the commit, and again only when the store is away."""

    def __init__(self, ingest: Ingest, instruments: Instruments) -> None:
        self._ingest = ingest
        self._instruments = instruments

    async def spans(self, found: Sequence[Admitted]) -> None:
        """Store the events of those spans that were not taken in before."""
        if not found:
            return
        keys = [admitted.key for admitted in found]
        events = [event for admitted in found for event in admitted.events]
        # Nearly always all are new: so the work is done here, and the transaction stays short.
        whole = await self._ingest.prepare(events)
        known = 0

        async def work(connection: Connection[asyncpg.Record]) -> Prepared:
            nonlocal known
            new = await admissions.new_spans(connection, keys)
            known = len(keys) - len(new)
            if not known:
                return whole
            return await self._ingest.prepare(
                [event for admitted in found if admitted.key in new for event in admitted.events]
            )

        await self._ingest.submit(len(events), work)
        self._instruments.otlp_duplicates.labels("spans").inc(known)

    async def points(self, found: Sequence[Point]) -> None:
        """Store points that were not taken in before, of cumulative ones what they add to their series."""
        if not found:
            return
        rising = [point for point in found if point.kind is Kind.CUMULATIVE]
        single = {point.key: point for point in found if point.kind is not Kind.CUMULATIVE}
        # Makes the series, so that the transaction below needs no second connection for that.
        await self._ingest.prepare([point.labels for point in found])
        known = 0

        async def work(connection: Connection[asyncpg.Record]) -> Prepared:
            nonlocal known
            new = await admissions.new_spans(connection, list(single)) if single else set()
            known = len(found) - len(rising) - len(new)
            events = [point.measurement() for key, point in single.items() if key in new]
            if rising:
                events += await _added(connection, rising)
            return await self._ingest.prepare(events)

        await self._ingest.submit(len(found), work)
        self._instruments.otlp_duplicates.labels("points").inc(known)


async def _added(
    connection: Connection[asyncpg.Record], points: Sequence[Point]
) -> list[Measurement]:
    """Return what cumulative points add to their series, which move on to the latest point."""
    stored = await admissions.lock_series(connection, [point.series_key for point in points])
    before = {key: None if state is None else load_state(state) for key, state in stored.items()}
    now = before.copy()
    added: list[Measurement] = []
    for point in points:
        measurement, now[point.series_key] = advance(now[point.series_key], point)
        if measurement is not None:
            added.append(measurement)
    moved = {
        key: dump_state(state)
        for key, state in now.items()
        if state is not None and state is not before[key]
    }
    if moved:
        await admissions.save_series(connection, moved)
    return added
