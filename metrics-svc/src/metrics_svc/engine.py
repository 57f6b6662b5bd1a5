"""The query engine: every number that the service answers is a summary made here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import numpy as np

from metrics_svc.domain.block import Records
from metrics_svc.domain.kind import KINDS, Kind
from metrics_svc.domain.summary import Filters, Grouping, Summary, grouping, summarise
from metrics_svc.domain.window import Window, plan
from metrics_svc.store.reader import RollupReader
from metrics_svc.store.series import SeriesRegistry

_MAX_GROUPINGS = 256
_LIMITED = (
    "Within the last hour more new series came than METRICS_NEW_SERIES_PER_HOUR allows;"
    " events of further ones count under the name __other__."
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question: sums of one kind, by some dimensions, of the series that pass the filters."""

    kind: Kind
    group_by: tuple[str, ...] = ()
    filters: Filters = field(default_factory=dict)
    histogram: bool = False
    stepped: bool = False

    def key(self) -> tuple[object, ...]:
        """Return what the grouping of the series depends on."""
        return self.kind.name, self.group_by, tuple(sorted(self.filters.items()))


class Engine:
    """Answers questions about a window from the rollups."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], series: SeriesRegistry) -> None:
        self._reader = RollupReader(pool)
        self._series = series
        self._groupings: dict[tuple[object, ...], Grouping] = {}
        self._version = -1

    def notes(self) -> list[str]:
        """Return what a reader of any answer should know now."""
        if not self._series.limiting(time.monotonic()):
            return []
        return [_LIMITED]

    async def ask(self, window: Window, asks: Sequence[Ask]) -> list[Summary]:
        """Answer all questions from one read, so that they agree with each other.

        Raises ``TooManyCellsError`` where steps and groups multiply beyond reason.
        """
        kinds = {ask.kind.name for ask in asks}
        measured = {ask.kind.name for ask in asks if ask.histogram}
        found = await self._reader.read(plan(window), kinds, measured)
        await self._learn(found)
        whole = Window(window.start, window.end)
        return [
            summarise(
                ask.kind,
                found[ask.kind.name],
                self._grouping(ask),
                window if ask.stepped else whole,
                histogram=ask.histogram,
            )
            for ask in asks
        ]

    async def _learn(self, found: Mapping[str, Records]) -> None:
        """Make known the series that another process has made since."""
        for kind, records in found.items():
            seen = np.zeros(int(records.series.max(initial=0)) + 1, dtype=bool)
            seen[records.series] = True
            missing = set(np.flatnonzero(seen).tolist()) - self._series.known(kind).keys()
            if missing:
                await self._series.load(missing)

    def _grouping(self, ask: Ask) -> Grouping:
        if self._version != self._series.version:
            self._groupings.clear()
            self._version = self._series.version
        key = ask.key()
        made = self._groupings.get(key)
        if made is None:
            if len(self._groupings) >= _MAX_GROUPINGS:
                self._groupings.clear()
            made = grouping(
                KINDS[ask.kind.name], self._series.known(ask.kind.name), ask.group_by, ask.filters
            )
            self._groupings[key] = made
        return made
