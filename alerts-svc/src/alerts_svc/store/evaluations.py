"""What was measured, tick by tick: values in one packed row, the fingerprints that they belong to apart."""

from __future__ import annotations

import hashlib
import math
from array import array
from dataclasses import dataclass
from operator import itemgetter

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.world import Evaluation
from alerts_svc.store.content import text

Connection = PoolConnectionProxy
# The greatest number of single precision.
_MOST = 3.4028234e38

# Ticks mostly measure the same alerts, so the directory is there already.
_APPEND = """
    INSERT INTO alerts.evaluations (at, directory, content)
    SELECT $1, digest, $3 FROM alerts.evaluation_directories WHERE digest = $2
    ON CONFLICT (at) DO NOTHING
"""
_KNOWN = "SELECT EXISTS (SELECT FROM alerts.evaluation_directories WHERE digest = $1)"
_ADD = """
    INSERT INTO alerts.evaluation_directories (digest, fingerprints) VALUES ($1, $2)
    ON CONFLICT DO NOTHING
"""


async def append(connection: Connection[asyncpg.Record], evaluation: Evaluation) -> None:
    """Keep one evaluation, in the caller's transaction."""
    # In one order, so that the same alerts have the same directory whatever order they were measured in.
    found = sorted(
        zip(evaluation.fingerprints, evaluation.values, evaluation.samples, strict=True),
        key=itemgetter(0),
    )
    names = "\n".join(name for name, _, _ in found)
    digest = hashlib.blake2b(names.encode(), digest_size=16).digest()
    numbers = [math.nan if value is None else value for _, value, _ in found]
    numbers.extend(samples for _, _, samples in found)
    row = (evaluation.at, digest, array("f", numbers).tobytes())
    status = await connection.execute(_APPEND, *row)
    if status.endswith(" 0") and not await connection.fetchval(_KNOWN, digest):
        await connection.execute(_ADD, digest, names)
        await connection.execute(_APPEND, *row)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one evaluation found of one alert; ``at`` is the service's own time."""

    at: float
    value: float | None
    samples: float


_DIRECTORIES = """
    WITH used AS (
        SELECT DISTINCT directory FROM alerts.evaluations WHERE at >= $2 AND at < $3
    )
    SELECT digest, fingerprints
    FROM alerts.evaluation_directories
    JOIN used ON used.directory = digest
    WHERE position($1 IN fingerprints) > 0
"""
_SLICE = """
    SELECT at, substr(content, $2, 4) AS value, substr(content, $3, 4) AS samples
    FROM alerts.evaluations
    WHERE directory = $1 AND at >= $4 AND at < $5
    ORDER BY at DESC
    LIMIT $6
"""


class Evaluations:
    """What was measured, for timelines."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def of(self, fingerprint: str, *, start: float, end: float, limit: int) -> list[Measured]:
        """Return what was found of an alert from ``start`` up to ``end``, at most the last ``limit``, oldest first."""
        found: list[Measured] = []
        for directory in await self._pool.fetch(_DIRECTORIES, text(fingerprint), start, end):
            names = directory["fingerprints"].split("\n")
            if fingerprint not in names:
                continue
            place = names.index(fingerprint)
            first, second = 1 + 4 * place, 1 + 4 * (len(names) + place)
            rows = await self._pool.fetch(
                _SLICE, directory["digest"], first, second, start, end, limit
            )
            found.extend(_measured(row) for row in rows)
        found.sort(key=lambda measured: measured.at)
        return found[-limit:]


def _measured(row: asyncpg.Record) -> Measured:
    # What is too great for single precision was written as infinite.
    value, samples = (
        max(-_MOST, min(_MOST, number)) if number == number else None
        for number in array("f", row["value"] + row["samples"])
    )
    return Measured(row["at"], value, samples or 0.0)
