"""Reading rollup rows for a window; rows that have not changed since they were read last are not sent again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from metrics_svc.domain import rollup
from metrics_svc.domain.block import Records
from metrics_svc.domain.rollup import FINEST, StoredRow, stored_row
from metrics_svc.domain.window import Segment

MAX_CACHED_BYTES = 16 * 2**20

# $1 resolutions, $2 starts and $3 ends of segments; $4 kinds, $5 those whose histograms are wanted; $6 revisions
# that the reader holds. First what lies in rows of the planned resolution; then, for writers that have not folded
# so far yet, what still lies in finer rows: from where the next coarser resolution ends to where their own does.
# OFFSET 0 keeps the planner from turning the joins around: each segment is one range of the primary key.
_READ = """
    WITH segment AS MATERIALIZED (
        SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS s (resolution, starts, ends)
    ),
    wanted AS MATERIALIZED (
        SELECT r.kind, r.resolution, r.bucket, r.revision, r.totals, r.entries
        FROM segment AS s
        CROSS JOIN LATERAL (
            SELECT kind, resolution, bucket, writer, revision, totals, entries
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
        SELECT r.kind, r.resolution, r.bucket, r.revision, r.totals, r.entries
        FROM metrics.writers AS w
        CROSS JOIN LATERAL (VALUES
            (600, w.folded_3600, w.folded_600),
            (60, w.folded_600, w.folded_60),
            (10, w.folded_60, 9223372036854775807)
        ) AS f (resolution, since, until)
        JOIN segment AS s ON s.resolution > f.resolution AND s.ends > f.since AND s.starts < f.until
        CROSS JOIN LATERAL (
            SELECT kind, resolution, bucket, revision, totals, entries
            FROM metrics.rollups
            WHERE kind = ANY($4::text[]) AND resolution = f.resolution
                AND bucket >= GREATEST(s.starts, f.since) AND bucket < LEAST(s.ends, f.until)
                AND writer = w.id
            OFFSET 0
        ) AS r
        WHERE w.retired_at IS NULL AND w.folded_3600 < 9223372036854775807
    )
    SELECT kind, resolution, bucket, revision,
        CASE WHEN held.revision IS NULL THEN totals END AS totals,
        CASE WHEN held.revision IS NULL AND kind = ANY($5::text[]) THEN entries END AS entries
    FROM wanted
    LEFT JOIN unnest($6::bigint[]) AS held (revision) USING (revision)
"""


@dataclass(slots=True)
class _Shelf:
    """The rows of one kind that were read before, by revision, those not used lately first."""

    rows: OrderedDict[int, StoredRow] = field(default_factory=OrderedDict)
    size: int = 0

    def known(self, start: int, *, with_histograms: bool) -> dict[int, StoredRow]:
        """Return the rows from ``start`` on that are complete enough."""
        return {
            revision: row
            for revision, row in self.rows.items()
            if row.bucket >= start and (row.complete or not with_histograms)
        }

    def use(self, revision: int) -> None:
        """Note that a row is in use, if it is still here."""
        if revision in self.rows:
            self.rows.move_to_end(revision)

    def keep(self, revision: int, row: StoredRow) -> None:
        """Put a row at the end, in place of what was known of it."""
        before = self.rows.pop(revision, None)
        self.size += _size(row) - (_size(before) if before else 0)
        self.rows[revision] = row

    def drop_oldest(self) -> None:
        """Forget the row used longest ago."""
        self.size -= _size(self.rows.popitem(last=False)[1])


class RollupReader:
    """Reads rollup rows. PostgreSQL says which rows make up the answer, always; only unchanged bytes are reused."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], *, max_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        self._pool = pool
        self._max_bytes = max_bytes
        self._shelves: dict[str, _Shelf] = {}

    async def read(
        self, segments: Sequence[Segment], kinds: Collection[str], with_histograms: Collection[str]
    ) -> Mapping[str, Records]:
        """Return every kind's records in the segments, in one statement and so of one moment."""
        start = min((segment.start for segment in segments), default=0)
        known: dict[int, StoredRow] = {}
        for kind in kinds:
            shelf = self._shelves.setdefault(kind, _Shelf())
            known |= shelf.known(start, with_histograms=kind in with_histograms)
        rows = await self._pool.fetch(
            _READ,
            [segment.resolution for segment in segments],
            [segment.start for segment in segments],
            [segment.end for segment in segments],
            list(kinds),
            list(with_histograms),
            list(known),
        )
        found: dict[str, list[StoredRow]] = {kind: [] for kind in kinds}
        for kind, resolution, bucket, revision, totals, entries in rows:
            if totals is None:
                found[kind].append(known[revision])
                self._shelves[kind].use(revision)
                continue
            row = stored_row(kind, bucket, totals, entries)
            found[kind].append(row)
            # The finest rows change all the time.
            if resolution != FINEST:
                self._shelves[kind].keep(revision, row)
        self._trim()
        return {kind: rollup.join(kind, stored) for kind, stored in found.items()}

    def _trim(self) -> None:
        while sum(shelf.size for shelf in self._shelves.values()) > self._max_bytes:
            max(self._shelves.values(), key=lambda shelf: shelf.size).drop_oldest()


def _size(row: StoredRow) -> int:
    return len(row.totals) + row.piece.entries.nbytes + 400
