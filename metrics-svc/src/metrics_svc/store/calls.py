"""Stored calls, read again and charged again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.repricing import Change, StoredCall
from metrics_svc.domain.tally import STATED

Connection = PoolConnectionProxy

# A short piece keeps the snapshot young, so that VACUUM is not held up while a month is read.
_PIECE = timedelta(hours=1)

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('metrics.reprice', 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('metrics.reprice', 0))"
# In the order of StoredCall. A call whose sender said what it cost keeps that.
_READ = """
    SELECT ts, operation, environment, gap_priority, provider, model,
        input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
        status, error_type, flags, cost_nanos, cache_savings_nanos, price_version
    FROM metrics.llm_calls
    WHERE ts >= $1 AND ts < $2 AND price_version IS DISTINCT FROM $3
        AND ($4::text IS NULL OR provider = $4) AND ($5::text IS NULL OR model = $5)
    ORDER BY ts
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Calls in ``[start, end)``, of one provider and model where those are given."""

    start: datetime
    end: datetime
    provider: str | None = None
    model: str | None = None


@asynccontextmanager
async def repricing(
    pool: asyncpg.Pool[asyncpg.Record],
) -> AsyncGenerator[Connection[asyncpg.Record] | None]:
    """Hold a connection on which calls are read to be charged again; ``None`` if another process does.

    The lock only keeps two from doing the same work; that nothing is doubled is owed to ``recharge``.
    """
    async with pool.acquire() as connection:
        if not await connection.fetchval(_TRY_LOCK):
            yield None
            return
        try:
            yield connection
        finally:
            if not connection.is_closed():
                await connection.execute(_UNLOCK)


async def slices(
    connection: Connection[asyncpg.Record], selection: Selection, size: int
) -> AsyncGenerator[list[StoredCall]]:
    """Yield the calls in order of time, at most ``size`` at once; each piece of time is of one moment."""
    start = selection.start
    while start < selection.end:
        end = min(start + _PIECE, selection.end)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            cursor = await connection.cursor(
                _READ, start, end, STATED, selection.provider, selection.model
            )
            while rows := await cursor.fetch(size):
                yield [StoredCall(*row) for row in rows]
        start = end


# $1, $2 first and last time; $3 to $19 the calls as they were, $20 to $22 their new charges. A row that is not as
# it was any more has been charged again by somebody else, and is left alone: the rows that come back are those
# whose totals have to be corrected. By value, because rows in a columnstore have no address (ctid).
_RECHARGE = """
    UPDATE metrics.llm_calls AS held
    SET cost_nanos = given.new_cost, cache_savings_nanos = given.new_savings, price_version = given.new_version
    FROM unnest(
        $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::text[],
        $20::bigint[], $21::bigint[], $22::text[]
    ) WITH ORDINALITY AS given (
        ts, operation, environment, gap_priority, provider, model,
        input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
        status, error_type, flags, cost, savings, version, new_cost, new_savings, new_version, number
    )
    WHERE held.ts BETWEEN $1 AND $2
        AND (held.ts, held.operation, held.environment, held.input_tokens, held.output_tokens,
            held.cached_input_tokens, held.cache_write_tokens, held.reasoning_tokens, held.status)
        = (given.ts, given.operation, given.environment, given.input_tokens, given.output_tokens,
            given.cached_input_tokens, given.cache_write_tokens, given.reasoning_tokens, given.status)
        AND (held.gap_priority, held.provider, held.model, held.error_type, held.flags,
            held.cost_nanos, held.cache_savings_nanos, held.price_version)
        IS NOT DISTINCT FROM (given.gap_priority, given.provider, given.model, given.error_type,
            given.flags::jsonb, given.cost, given.savings, given.version)
    RETURNING given.number - 1 AS position
"""
# Many calls may share one time, and then a nested loop over the index on time is quadratic.
_HASH_ONLY = "SET LOCAL enable_nestloop = off"
_ANY_PLAN = "SET LOCAL enable_nestloop TO DEFAULT"


async def recharge(connection: Connection[asyncpg.Record], change: Change) -> Sequence[int]:
    """Give the calls their new charges, in the caller's transaction; a second time changes nothing.

    Returns the position in ``change`` of each row that was found, repeated for rows that are alike.
    """
    calls = zip(*change.calls, strict=True)
    charges = zip(*change.charges, strict=True)
    first, last = change.calls[0].timestamp, change.calls[-1].timestamp
    await connection.execute(_HASH_ONLY)
    rows = await connection.fetch(
        _RECHARGE, first, last, *(list(column) for column in (*calls, *charges))
    )
    await connection.execute(_ANY_PLAN)
    return [row["position"] for row in rows]
