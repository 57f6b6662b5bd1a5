"""The core of one process without HTTP, on a clock that the test moves, and a naive recount to hold it against."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np
from prometheus_client import CollectorRegistry

from metrics_svc.domain.histogram import codes
from metrics_svc.domain.kind import Kind
from metrics_svc.domain.price import RateCard
from metrics_svc.domain.summary import Summary
from metrics_svc.domain.window import Window
from metrics_svc.engine import Engine
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.store.series import SeriesRegistry
from metrics_svc.writer import Writer

Pool = Any
# A full hour, so that tests can say where in the hour they are.
T0 = 1_800_000_000
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'metrics' AND tablename <> 'schema_migrations'"


class Unpriced:
    """Prices that know no model."""

    def resolve(self, provider: str | None, model: str | None, at: float) -> RateCard | None:
        return None


class Clock:
    """Unix seconds that move only when told to."""

    def __init__(self, now: float = T0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Replica:
    """Writer, ingest and engine as one process has them."""

    def __init__(self, pool: Pool, clock: Clock, *, new_per_hour: int = 5_000) -> None:
        self.pool = pool
        self.series = SeriesRegistry(pool, new_per_hour=new_per_hour)
        self.writer = Writer(clock)
        self.ingest = Ingest(
            pool,
            self.series,
            self.writer,
            prices=Unpriced,
            max_queued=50_000,
            instruments=Instruments(CollectorRegistry()),
        )
        self.engine = Engine(pool, self.series)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Replica]:
        async with self.ingest.running():
            yield self


@asynccontextmanager
async def replica(pool: Pool, clock: Clock, **options: int) -> AsyncGenerator[Replica]:
    async with Replica(pool, clock, **options).running() as made:
        yield made


async def emptied(pool: Pool) -> None:
    """Empty every table of the service."""
    async with pool.acquire() as connection:
        names = [f"metrics.{row['tablename']}" for row in await connection.fetch(_TABLES)]
        await connection.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_RECOUNT = {
    "performance": """
        SELECT operation, 1, (status <> 'ok')::int, duration_ms AS value
        FROM metrics.performance
        WHERE ts >= $1 AND ts < $2
    """,
    "llm_call": """
        SELECT operation, 1, (status <> 'ok')::int, coalesce(cost_nanos, 0), (cost_nanos IS NULL)::int,
            input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
            cache_hit::int, cache_savings_nanos, duration_ms AS value
        FROM metrics.llm_calls
        WHERE ts >= $1 AND ts < $2
    """,
}
Totals = dict[str, tuple[list[int], Counter[int]]]


async def recounted(pool: Pool, kind: Kind, window: Window) -> Totals:
    """Count the raw rows of a window: by operation, every counter and the histogram."""
    found: Totals = {}
    rows: Sequence[asyncpg.Record] = await pool.fetch(
        _RECOUNT[kind.name], moment(window.start), moment(window.end)
    )
    for row in rows:
        operation, *counters, value = row
        sums, histogram = found.setdefault(operation, ([0] * len(kind.counters), Counter()))
        sums[:] = [total + more for total, more in zip(sums, counters, strict=True)]
        if value is not None:
            histogram[int(codes(np.array([value]))[0])] += 1
    return found


def told(summary: Summary) -> Totals:
    """Return an engine's answer by operation in the form of ``recounted``."""
    histograms = summary.histograms
    assert histograms is not None
    found: Totals = {}
    for cell, (group,) in enumerate(summary.groups):
        mine = histograms.cell == cell
        histogram = dict(
            zip(histograms.code[mine].tolist(), histograms.count[mine].tolist(), strict=True)
        )
        if summary.counters[cell][0]:
            found[str(group)] = (summary.counters[cell].tolist(), Counter(histogram))
    return found
