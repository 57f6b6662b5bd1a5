"""The registry of series: small ids in place of long names, kept in memory once known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import asyncpg
import structlog

from metrics_svc.domain.kind import KINDS, OTHER
from metrics_svc.domain.tally import Dimensions

log = structlog.get_logger(__name__)
_HOUR = 3600.0
_REMEMBER_SECONDS = 60.0
_MAX_REMEMBERED = 10_000
_AT_ONCE = 500


class SeriesRegistry:
    """Ids of series by kind. Series are never changed or removed, so what is known stays true.

    At most ``new_per_hour`` series of a kind are made in an hour; events of further ones count in a series named
    ``__other__``, under their own operation and environment if those are known. So one careless attribute cannot
    fill the store. Raw rows keep the real names.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], *, new_per_hour: int) -> None:
        self._pool = pool
        self._new_per_hour = new_per_hour
        self._ids: dict[str, dict[Dimensions, int]] = {kind: {} for kind in KINDS}
        self._dimensions: dict[str, dict[int, Dimensions]] = {kind: {} for kind in KINDS}
        self._highest = 0
        self._places: dict[str, set[Dimensions]] = {kind: set() for kind in KINDS}
        self._made: dict[str, list[float]] = {kind: [] for kind in KINDS}
        # Refused a short while ago: asked again with every batch, and not worth a look into the store each time.
        self._refused: dict[tuple[str, Dimensions], int] = {}
        self._refused_since = -_HOUR
        self._limited_at = -_HOUR
        self._lock = asyncio.Lock()
        # Rises whenever a series becomes known: what was derived from the registry before is then stale.
        self.version = 0
        self.limited = 0

    def limiting(self, now: float) -> bool:
        """Return whether series were refused in the hour before ``now`` (monotonic seconds)."""
        return self._limited_at > now - _HOUR

    # Names are text[] whose nulls are absent dimensions.
    _LOAD = """
        SELECT id, kind, dimensions
        FROM metrics.series
        WHERE id > $1 OR id = ANY($2::integer[])
        ORDER BY id
    """

    def ids(self, kind: str) -> Mapping[Dimensions, int]:
        """Return the known ids of a kind, by dimensions."""
        return self._ids[kind]

    def known(self, kind: str) -> Mapping[int, Dimensions]:
        """Return the known series of a kind, by id."""
        return self._dimensions[kind]

    async def load(self, ids: Iterable[int] = ()) -> None:
        """Learn the series that other processes made since, and the named ``ids``."""
        rows = await self._pool.fetch(self._LOAD, self._highest, list(ids))
        for row in rows:
            self._learn(row["kind"], tuple(row["dimensions"]), row["id"])

    def _learn(self, kind: str, dimensions: Dimensions, series: int) -> None:
        if kind not in KINDS or series in self._dimensions[kind]:
            return
        self._ids[kind][dimensions] = series
        self._dimensions[kind][series] = dimensions
        self._places[kind].add(dimensions[:2])
        self._highest = max(self._highest, series)
        self.version += 1

    # Run once for each: unnest would flatten arrays of arrays.
    _ADD = """
        INSERT INTO metrics.series (kind, dimensions, digest)
        VALUES ($1, $2::text[], md5($2::text[]::text)::uuid)
        ON CONFLICT (kind, digest) DO UPDATE SET kind = excluded.kind
        RETURNING id
    """

    async def ensure(
        self, kind: str, wanted: Iterable[Dimensions], *, now: float
    ) -> Mapping[Dimensions, int]:
        """Return ids in which every one of ``wanted`` is found, making the series that are new."""
        known = self._ids[kind]
        missing = set(wanted) - known.keys()
        if not missing:
            return known
        refused = self._recently_refused(kind, missing, now)
        if len(refused) == len(missing):
            return known | refused
        async with self._lock:
            # What is there already, from before a restart or from another process, is not new.
            await self.load()
            missing -= known.keys()
            made = self._made[kind] = [at for at in self._made[kind] if at > now - _HOUR]
            room = max(0, self._new_per_hour - len(made))
            chosen = sorted(missing, key=repr)
            for start in range(0, min(room, len(chosen)), _AT_ONCE):
                await self._make(kind, chosen[start : min(start + _AT_ONCE, room)], now)
            if len(chosen) <= room:
                return known
            return known | await self._refuse(kind, chosen[room:], now)

    def _recently_refused(
        self, kind: str, missing: Iterable[Dimensions], now: float
    ) -> dict[Dimensions, int]:
        if now - self._refused_since > _REMEMBER_SECONDS:
            self._refused.clear()
            self._refused_since = now
        return {d: self._refused[kind, d] for d in missing if (kind, d) in self._refused}

    async def _make(self, kind: str, chosen: Sequence[Dimensions], now: float) -> None:
        """Add series in one transaction: thousands may come at once, and each commit waits for the disk."""
        rows = await self._pool.fetchmany(self._ADD, [(kind, d) for d in chosen])
        for dimensions, row in zip(chosen, rows, strict=True):
            self._learn(kind, dimensions, row["id"])
            self._made[kind].append(now)

    async def _add(self, kind: str, dimensions: Dimensions) -> int:
        series: int = await self._pool.fetchval(self._ADD, kind, dimensions)
        return series

    _FIND = "SELECT id FROM metrics.series WHERE kind = $1 AND digest = md5($2::text[]::text)::uuid"

    async def counted(self, kind: str, wanted: Iterable[Dimensions]) -> Mapping[Dimensions, int]:
        """Return the ids in which stored events of ``wanted`` were counted; series that never were are ``__other__``."""
        known = self._ids[kind]
        lost: list[Dimensions] = []
        for dimensions in set(wanted) - known.keys():
            series = await self._pool.fetchval(self._FIND, kind, dimensions)
            if series is None:
                lost.append(dimensions)
            else:
                self._learn(kind, dimensions, series)
        return known | await self._others(kind, lost) if lost else known

    async def _refuse(
        self, kind: str, refused: list[Dimensions], now: float
    ) -> dict[Dimensions, int]:
        self._limited_at = now
        self.limited += len(refused)
        log.warning("series_limited", kind=kind, refused=len(refused), per_hour=self._new_per_hour)
        found = await self._others(kind, refused)
        if len(self._refused) < _MAX_REMEMBERED:
            self._refused |= {(kind, dimensions): series for dimensions, series in found.items()}
        return found

    async def _others(self, kind: str, refused: list[Dimensions]) -> dict[Dimensions, int]:
        found: dict[Dimensions, int] = {}
        for dimensions in refused:
            other = self._other(kind, dimensions)
            if other not in self._ids[kind]:
                self._learn(kind, other, await self._add(kind, other))
            found[dimensions] = self._ids[kind][other]
        return found

    def _other(self, kind: str, dimensions: Dimensions) -> Dimensions:
        # Absent dimensions stay absent, so that an event with a flag still counts apart from the plain ones.
        place = dimensions[:2]
        if place not in self._places[kind]:
            place = tuple(None if value is None else OTHER for value in place)
        return (*place, *(None if value is None else OTHER for value in dimensions[2:]))
