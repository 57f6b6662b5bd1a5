"""Rollup rows and their writers: written whole, folded into coarser ones, dropped when their time is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain import rollup
from metrics_svc.domain.kind import KINDS
from metrics_svc.domain.rollup import COARSER, FOREVER, RollupRow, StoredRow, stored_row

Connection = PoolConnectionProxy

_NEW_WRITER = """
    INSERT INTO metrics.writers (folded_60, folded_600, folded_3600)
    VALUES ($1, $2, $3)
    RETURNING id
"""
# The lock keeps the writers from being retired under our feet, until the transaction ends.
_HOLD_WRITERS = """
    SELECT id FROM metrics.writers WHERE id = ANY($1::bigint[]) AND retired_at IS NULL FOR SHARE
"""
_UPSERT = """
    INSERT INTO metrics.rollups (kind, resolution, bucket, part, writer, totals, entries)
    SELECT kind, resolution, bucket, part, $1, totals, entries
    FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::integer[], $6::bytea[], $7::bytea[])
        AS given (kind, resolution, bucket, part, totals, entries)
    ON CONFLICT (kind, resolution, bucket, part, writer)
    DO UPDATE SET revision = excluded.revision, totals = excluded.totals, entries = excluded.entries
"""


async def new_live_writer(connection: Connection[asyncpg.Record], folded: int) -> int:
    """Make a writer of finest rows from ``folded`` (a multiple of an hour) on; it must fold them in time."""
    writer: int = await connection.fetchval(_NEW_WRITER, folded, folded, folded)
    return writer


async def new_late_writer(connection: Connection[asyncpg.Record]) -> int:
    """Make a writer that writes all resolutions at once and has nothing to fold."""
    writer: int = await connection.fetchval(_NEW_WRITER, FOREVER, FOREVER, FOREVER)
    return writer


async def hold_writers(
    connection: Connection[asyncpg.Record], writers: Collection[int]
) -> set[int]:
    """Return which of ``writers`` may still write in this transaction: nobody has retired them."""
    return {row["id"] for row in await connection.fetch(_HOLD_WRITERS, list(writers))}


async def write(
    connection: Connection[asyncpg.Record], writer: int, rows: Sequence[RollupRow]
) -> None:
    """Write rows whole: writing them again changes nothing."""
    await connection.execute(
        _UPSERT,
        writer,
        [row.kind for row in rows],
        [row.resolution for row in rows],
        [row.bucket for row in rows],
        [row.part for row in rows],
        [row.totals for row in rows],
        [row.entries for row in rows],
    )


_LOCK_WRITER = """
    SELECT folded_60, folded_600, folded_3600
    FROM metrics.writers
    WHERE id = $1 AND retired_at IS NULL
    FOR UPDATE
"""
_OWN_ROWS = """
    SELECT kind, bucket, totals, entries
    FROM metrics.rollups
    WHERE kind = ANY($1::text[]) AND resolution = $2 AND bucket >= $3 AND bucket < $4 AND writer = $5
"""
_ADVANCE = """
    UPDATE metrics.writers
    SET folded_60 = $2, folded_600 = $3, folded_3600 = $4, seen_at = now(),
        retired_at = CASE WHEN $4 = $5::bigint THEN now() END
    WHERE id = $1
"""


async def fold(pool: asyncpg.Pool[asyncpg.Record], writer: int, until: int) -> bool:
    """Sum a writer's rows before ``until`` into coarser ones, in one transaction.

    Coarse buckets that ``until`` cuts are left for later. ``FOREVER`` folds all and retires the writer.
    Returns whether the writer was still live; folding it again changes nothing.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK_WRITER, writer)
        if row is None:
            return False
        done: list[int] = []
        for fine, coarse in COARSER.items():
            folded: int = row[f"folded_{coarse}"]
            target = max(folded, until if until == FOREVER else rollup.floor(until, coarse))
            if target > folded:
                found = await connection.fetch(_OWN_ROWS, list(KINDS), fine, folded, target, writer)
                await write(connection, writer, _coarser(found, coarse))
            done.append(target)
        await connection.execute(_ADVANCE, writer, *done, FOREVER)
        return True


def _coarser(found: Sequence[asyncpg.Record], resolution: int) -> list[RollupRow]:
    by_kind: dict[str, list[StoredRow]] = {}
    for row in found:
        stored = stored_row(row["kind"], row["bucket"], row["totals"], row["entries"])
        by_kind.setdefault(row["kind"], []).append(stored)
    made: list[RollupRow] = []
    for kind, stored_rows in by_kind.items():
        records = rollup.join(kind, stored_rows)
        bucket = records.bucket - records.bucket % resolution
        block = records.block(rollup.key(bucket, records.series))
        made.extend(rollup.rows(kind, resolution, block))
    return made


_ABANDONED = """
    SELECT id FROM metrics.writers
    WHERE retired_at IS NULL AND folded_3600 < $2 AND seen_at < now() - make_interval(secs => $1)
    ORDER BY id
"""


async def abandoned(pool: asyncpg.Pool[asyncpg.Record], silent_seconds: float) -> list[int]:
    """Return the live writers that nobody has heard of for so long: their processes are gone or stuck."""
    rows = await pool.fetch(_ABANDONED, silent_seconds, FOREVER)
    return [row["id"] for row in rows]


EXPIRE_ROWS = 1_000
_EXPIRE = """
    DELETE FROM metrics.rollups
    WHERE bucket < $3 AND ctid = ANY(ARRAY(
        SELECT r.ctid
        FROM metrics.rollups AS r
        LEFT JOIN metrics.writers AS w ON w.id = r.writer
        WHERE r.kind = ANY($1::text[]) AND r.resolution = $2 AND r.bucket < $3
            AND ($2 <> 10 OR r.bucket < COALESCE(w.folded_60, $3))
            AND ($2 <> 60 OR r.bucket < COALESCE(w.folded_600, $3))
            AND ($2 <> 600 OR r.bucket < COALESCE(w.folded_3600, $3))
        LIMIT $4
    ))
"""


async def expire(connection: Connection[asyncpg.Record], resolution: int, before: int) -> bool:
    """Delete some rows of a resolution whose bucket starts before ``before``, but none that waits to be folded.

    Returns whether more may be left.
    """
    status = await connection.execute(_EXPIRE, list(KINDS), resolution, before, EXPIRE_ROWS)
    return int(status.rpartition(" ")[2]) == EXPIRE_ROWS


_RETIRE_LATE = """
    UPDATE metrics.writers
    SET retired_at = now()
    WHERE retired_at IS NULL AND folded_3600 = $2 AND started_at < now() - $1::interval
"""
# Locked, so that none of them gets a row between the two statements.
_RETIRED = """
    SELECT id FROM metrics.writers
    WHERE retired_at < to_timestamp($1::bigint)
    ORDER BY id LIMIT $2
    FOR UPDATE SKIP LOCKED
"""
_DROP_WRITERS = """
    DELETE FROM metrics.writers AS w
    WHERE w.id = ANY($1::bigint[])
        AND NOT EXISTS (SELECT FROM metrics.rollups AS r WHERE r.writer = w.id)
"""


async def retire_late_writers(connection: Connection[asyncpg.Record], life: timedelta) -> None:
    """Retire the late writers that began longer than ``life`` ago; their processes begin new ones."""
    await connection.execute(_RETIRE_LATE, life, FOREVER)


async def drop_writers(connection: Connection[asyncpg.Record], before: int) -> int:
    """Drop the writers that were retired before ``before`` and have no rows left; return how many.

    Rows have no index by writer, so ``before`` should be so long ago that hardly any is left.
    """
    async with connection.transaction():
        rows = await connection.fetch(_RETIRED, before, EXPIRE_ROWS)
        if not rows:
            return 0
        status = await connection.execute(_DROP_WRITERS, [row["id"] for row in rows])
    return int(status.rpartition(" ")[2])
