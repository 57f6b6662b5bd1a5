"""Processes that evaluate flags, as they report themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from flags_svc.store import usage
from flags_svc.store.content import text

Connection = PoolConnectionProxy
ROWS = 2_000

# In the order of the key, so that two who report at once wait for each other and not in a circle.
_MAKE = """
    INSERT INTO flags.instances
        (instance, kind, name, environment, epoch, revision, sequence, first_seen, last_seen)
    SELECT instance, '', '', '', '', 0, -1, $2, $2
    FROM unnest($1::text[]) AS g (instance)
    ORDER BY instance
    ON CONFLICT DO NOTHING
"""
_HOLD = """
    SELECT instance, sequence, epoch, revision FROM flags.instances
    WHERE instance = ANY($1::text[])
    ORDER BY instance
    FOR UPDATE
"""
_SEE = """
    UPDATE flags.instances AS i
    SET kind = g.kind, name = g.name, environment = g.environment, epoch = g.epoch,
        revision = g.revision, sequence = g.sequence, last_seen = greatest(i.last_seen, g.at),
        ended = g.ended
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::float8[],
        $9::boolean[]
    ) AS g (instance, kind, name, environment, epoch, revision, sequence, at, ended)
    WHERE i.instance = g.instance
"""
_SEEN = """
    SELECT instance, kind, name, environment, epoch, revision, first_seen, last_seen
    FROM flags.instances
    WHERE last_seen >= $1 AND NOT ended
    ORDER BY kind, name, instance
    LIMIT $2
"""
_FORGET = """
    WITH old AS (
        DELETE FROM flags.instances
        WHERE instance = ANY(ARRAY(
                SELECT instance FROM flags.instances WHERE last_seen < $1 ORDER BY last_seen LIMIT $2
            ))
            AND last_seen < $1
        RETURNING instance
    )
    SELECT count(*) FROM old
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a process said of itself at ``at`` (seconds since 1970, the receiver's clock).

    ``sequence`` grows from report to report of an instance, from 0 on; one that is sent again has the same, and
    its ``used`` (how often which flag gave which variant since the last) is counted once. ``ended`` says that it is
    its last.
    """

    instance: str
    kind: str
    name: str
    environment: str
    epoch: str
    revision: int
    sequence: int
    at: float
    used: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Instance:
    """A process, with what it said last and when; times in seconds since 1970."""

    instance: str
    kind: str
    name: str
    environment: str
    epoch: str
    revision: int
    first_seen: float
    last_seen: float


class Instances:
    """Who evaluates flags, at which revision."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def record(self, reports: Sequence[Report]) -> list[Report]:
        """Take note of reports and count what they say was evaluated; a repeated one changes nothing.

        Returns those by which a process has come to another revision than it was at. The first
        report of a process is none of them: it tells what was there when it began.
        """
        if not reports:
            return []
        names = sorted({report.instance for report in reports})
        begin = min(report.at for report in reports)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_MAKE, names, begin)
            held = await connection.fetch(_HOLD, names)
            fresh = _fresh(reports, {row["instance"]: row["sequence"] for row in held})
            await _see(connection, {report.instance: report for report in fresh}.values())
            counts = _counts(fresh)
            if counts:
                await usage.count(connection, counts, at=max(report.at for report in fresh))
        return _moved(fresh, {row["instance"]: _place(row) for row in held})

    async def seen(self, since: float, *, limit: int) -> list[Instance]:
        """Return the processes that have reported from ``since`` on and not ended, by kind and name."""
        return [Instance(*row.values()) for row in await self._pool.fetch(_SEEN, since, limit)]

    async def forget(self, before: float) -> bool:
        """Remove some that have not reported since ``before``, and return whether more may be left."""
        removed: int = await self._pool.fetchval(_FORGET, before, ROWS)
        return removed == ROWS


def _fresh(reports: Iterable[Report], known: dict[str, int]) -> list[Report]:
    """Return the reports that were not recorded before, in their order."""
    found = []
    for report in sorted(reports, key=lambda report: report.sequence):
        if report.sequence > known[report.instance]:
            known[report.instance] = report.sequence
            found.append(report)
    return found


def _place(row: asyncpg.Record) -> tuple[str, int] | None:
    """Return the epoch and the revision that a process was at; ``None`` if it has not reported before."""
    return None if row["sequence"] < 0 else (row["epoch"], row["revision"])


def _moved(reports: Iterable[Report], places: dict[str, tuple[str, int] | None]) -> list[Report]:
    """Return those of ``reports``, each newer than the one before it, that tell of another place."""
    found = []
    for report in reports:
        before, now = places[report.instance], (report.epoch, report.revision)
        if before is not None and before != now:
            found.append(report)
        places[report.instance] = now
    return found


async def _see(connection: Connection[asyncpg.Record], reports: Iterable[Report]) -> None:
    last = list(reports)
    await connection.execute(
        _SEE,
        [report.instance for report in last],
        [text(report.kind) for report in last],
        [text(report.name) for report in last],
        [text(report.environment) for report in last],
        [text(report.epoch) for report in last],
        [report.revision for report in last],
        [report.sequence for report in last],
        [report.at for report in last],
        [report.ended for report in last],
    )


def _counts(reports: Iterable[Report]) -> usage.Counts:
    counts: Counter[tuple[str, str, str | None]] = Counter()
    for report in reports:
        for (flag, variant), number in report.used.items():
            counts[report.environment, flag, variant] += number
    return counts
