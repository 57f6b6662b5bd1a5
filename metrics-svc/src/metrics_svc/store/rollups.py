"""Rollup rows and their writers: written whole, folded into coarser ones, read for a window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import numpy as np
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain import rollup
from metrics_svc.domain.block import Block, Keys, Records, decode
from metrics_svc.domain.kind import KINDS
from metrics_svc.domain.rollup import COARSER, FOREVER, RollupRow
from metrics_svc.domain.window import Segment

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
    DO UPDATE SET totals = excluded.totals, entries = excluded.entries
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
    by_kind: dict[str, list[asyncpg.Record]] = {}
    for row in found:
        by_kind.setdefault(row["kind"], []).append(row)
    made: list[RollupRow] = []
    for kind, rows in by_kind.items():
        stored = _stored(kind, rows)
        bucket = stored.bucket - stored.bucket % resolution
        keys = rollup.key(bucket, stored.records.totals["series"].astype(np.int64))
        made.extend(rollup.rows(kind, resolution, stored.records.block(keys)))
    return made


_ABANDONED = """
    SELECT id FROM metrics.writers
    WHERE retired_at IS NULL AND folded_3600 < $2 AND seen_at < now() - make_interval(secs => $1)
    ORDER BY id
"""
_SEEN = "UPDATE metrics.writers SET seen_at = now() WHERE id = $1"


async def abandoned(pool: asyncpg.Pool[asyncpg.Record], silent_seconds: float) -> list[int]:
    """Return the live writers that nobody has heard of for so long: their processes are gone or stuck."""
    rows = await pool.fetch(_ABANDONED, silent_seconds, FOREVER)
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Stored:
    """Records of one kind with the bucket that each is of."""

    bucket: Keys
    records: Records

    @property
    def series(self) -> Keys:
        """The series of each record."""
        found: Keys = self.records.totals["series"].astype(np.int64)
        return found


def _stored(kind: str, rows: Sequence[asyncpg.Record]) -> Stored:
    totals = [row["totals"] for row in rows]
    records = decode(len(KINDS[kind].counters), totals, [row["entries"] or b"" for row in rows])
    size = records.totals.dtype.itemsize
    repeats = np.array([len(data) // size for data in totals], dtype=np.int64)
    bucket = np.array([row["bucket"] for row in rows], dtype=np.int64)
    return Stored(np.repeat(bucket, repeats), records)


# $1 resolutions, $2 starts and $3 ends of segments; $4 kinds, $5 those whose histograms are wanted.
# First what lies in rows of the planned resolution; then, for writers that have not folded so far yet, what
# still lies in finer rows: from where the next coarser resolution ends to where their own does. OFFSET 0 keeps
# the planner from turning the joins around: each segment is one range of the primary key.
_READ = """
    WITH segment AS MATERIALIZED (
        SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS s (resolution, starts, ends)
    )
    SELECT r.kind, r.bucket, r.totals, CASE WHEN r.kind = ANY($5::text[]) THEN r.entries END AS entries
    FROM segment AS s
    CROSS JOIN LATERAL (
        SELECT kind, resolution, bucket, writer, totals, entries
        FROM metrics.rollups
        WHERE kind = ANY($4::text[]) AND resolution = s.resolution
            AND bucket >= s.starts AND bucket < s.ends
        OFFSET 0
    ) AS r
    JOIN metrics.writers AS w ON w.id = r.writer
    WHERE CASE r.resolution
        WHEN 3600 THEN r.bucket < w.folded_3600
        WHEN 600 THEN r.bucket < w.folded_600
        WHEN 60 THEN r.bucket < w.folded_60
        ELSE true
    END
    UNION ALL
    SELECT r.kind, r.bucket, r.totals, CASE WHEN r.kind = ANY($5::text[]) THEN r.entries END
    FROM metrics.writers AS w
    CROSS JOIN LATERAL (VALUES
        (600, w.folded_3600, w.folded_600),
        (60, w.folded_600, w.folded_60),
        (10, w.folded_60, 9223372036854775807)
    ) AS f (resolution, since, until)
    JOIN segment AS s ON s.resolution > f.resolution AND s.ends > f.since AND s.starts < f.until
    CROSS JOIN LATERAL (
        SELECT kind, bucket, totals, entries
        FROM metrics.rollups
        WHERE kind = ANY($4::text[]) AND resolution = f.resolution
            AND bucket >= GREATEST(s.starts, f.since) AND bucket < LEAST(s.ends, f.until)
            AND writer = w.id
        OFFSET 0
    ) AS r
    WHERE w.retired_at IS NULL AND w.folded_3600 < 9223372036854775807
"""


async def read(
    pool: asyncpg.Pool[asyncpg.Record],
    segments: Sequence[Segment],
    kinds: Collection[str],
    with_histograms: Collection[str],
) -> Mapping[str, Stored]:
    """Return every kind's records in the segments, in one statement and so of one moment."""
    rows = await pool.fetch(
        _READ,
        [segment.resolution for segment in segments],
        [segment.start for segment in segments],
        [segment.end for segment in segments],
        list(kinds),
        list(with_histograms),
    )
    by_kind: dict[str, list[asyncpg.Record]] = {kind: [] for kind in kinds}
    for row in rows:
        by_kind[row["kind"]].append(row)
    return {kind: _stored(kind, found) for kind, found in by_kind.items()}


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


def block_of(stored: Stored) -> Block:
    """Return the sum of stored records by (bucket, series)."""
    return stored.records.block(rollup.key(stored.bucket, stored.series))
