"""What has been taken in before. Every statement runs inside the transaction of the events it admits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = PoolConnectionProxy

# Sorted, so that two replicas that share several batches or spans wait for each other in one order.
_BATCHES = """
    INSERT INTO metrics.batches (batch_id)
    SELECT wanted FROM unnest($1::uuid[]) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING
    RETURNING batch_id
"""


async def new_batches(connection: Connection[asyncpg.Record], batches: Sequence[UUID]) -> set[UUID]:
    """Take in ``batches`` and return those that were not there yet.

    A batch that another transaction is just taking in makes this one wait for its outcome.
    """
    return {row["batch_id"] for row in await connection.fetch(_BATCHES, batches)}


_SPANS = """
    INSERT INTO metrics.spans (span)
    SELECT wanted FROM unnest($1::bytea[]) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING
    RETURNING span
"""


async def new_spans(connection: Connection[asyncpg.Record], spans: Sequence[bytes]) -> set[bytes]:
    """Take in spans or points, by their 24 bytes, and return those that were not there yet."""
    return {row["span"] for row in await connection.fetch(_SPANS, spans)}


_LOCK_SERIES = """
    INSERT INTO metrics.otlp_series (series)
    SELECT DISTINCT wanted FROM unnest($1::bytea[]) AS wanted ORDER BY wanted
    ON CONFLICT (series) DO UPDATE SET received_at = now()
    RETURNING series, state
"""
_SAVE_SERIES = """
    UPDATE metrics.otlp_series AS held
    SET state = given.state
    FROM unnest($1::bytea[], $2::bytea[]) AS given (series, state)
    WHERE held.series = given.series
"""


async def lock_series(
    connection: Connection[asyncpg.Record], series: Sequence[bytes]
) -> dict[bytes, bytes | None]:
    """Return the state of OTLP series, ``None`` for new ones, held until the transaction ends."""
    rows = await connection.fetch(_LOCK_SERIES, series)
    return {row["series"]: row["state"] for row in rows}


async def save_series(
    connection: Connection[asyncpg.Record], states: Mapping[bytes, bytes]
) -> None:
    """Store the new states of series that this transaction holds."""
    await connection.execute(_SAVE_SERIES, list(states), list(states.values()))


FORGET_ROWS = 10_000
_FORGET = {
    "batches": """
        DELETE FROM metrics.batches
        WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM metrics.batches
            WHERE received_at < now() - $1::interval ORDER BY received_at LIMIT $2
        ))
    """,
    "spans": """
        DELETE FROM metrics.spans
        WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM metrics.spans
            WHERE received_at < now() - $1::interval ORDER BY received_at LIMIT $2
        ))
    """,
    "otlp_series": """
        DELETE FROM metrics.otlp_series
        WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM metrics.otlp_series
            WHERE received_at < now() - $1::interval ORDER BY received_at LIMIT $2
        ))
    """,
}
TABLES = tuple(_FORGET)


async def forget(connection: Connection[asyncpg.Record], table: str, older_than: timedelta) -> bool:
    """Drop some of what is too old to come again: an event that old is refused by its timestamp.

    Returns whether more may be left.
    """
    status = await connection.execute(_FORGET[table], older_than, FORGET_ROWS)
    return int(status.rpartition(" ")[2]) == FORGET_ROWS
