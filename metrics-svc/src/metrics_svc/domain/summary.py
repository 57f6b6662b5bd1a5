"""Summaries: stored records added up by group and step, and what can be said of each sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics_svc.domain.block import Floats, Ints, Keys, Records
from metrics_svc.domain.histogram import representatives
from metrics_svc.domain.kind import FLAG_DIMENSIONS, Kind
from metrics_svc.domain.tally import Dimensions
from metrics_svc.domain.window import Window

# Above this many (cell, code) pairs a histogram is added up by sorting instead of by counting into an array.
_DENSE_LIMIT = 4_000_000

Filters = Mapping[str, frozenset[str | None]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which group each series of a kind belongs to: ``group_of[series]``, -1 for none."""

    names: tuple[str, ...]
    groups: list[Dimensions]
    group_of: Keys


def grouping(
    kind: Kind, known: Mapping[int, Dimensions], group_by: Sequence[str], filters: Filters
) -> Grouping:
    """Sort the known series of a kind into groups, leaving out those that the filters exclude.

    Series of a flag's variant count events a second time, so they take part only where a flag is asked for.
    """
    places = [kind.dimensions.index(name) for name in group_by]
    conditions = [(kind.dimensions.index(name), allowed) for name, allowed in filters.items()]
    flagged = kind.name == "exposure" or not {*group_by, *filters}.isdisjoint(FLAG_DIMENSIONS)
    flag = kind.dimensions.index(FLAG_DIMENSIONS[0])
    group_of = np.full(max(known, default=0) + 1, -1, dtype=np.int64)
    numbers: dict[Dimensions, int] = {}
    for series, dimensions in known.items():
        if (dimensions[flag] is not None) is not flagged:
            continue
        if any(dimensions[place] not in allowed for place, allowed in conditions):
            continue
        group = tuple(dimensions[place] for place in places)
        group_of[series] = numbers.setdefault(group, len(numbers))
    return Grouping(tuple(group_by), list(numbers), group_of)


@dataclass(frozen=True, slots=True)
class Histograms:
    """Histograms of many cells: entries ordered by cell, then code."""

    cell: Ints
    code: npt.NDArray[np.int16]
    count: Ints


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums by cell: cell ``group * len(steps) + step``.

    ``counters`` is (cells, counters of the kind), ``moments`` (cells, [number, sum, sum of squares]).
    """

    kind: Kind
    names: tuple[str, ...]
    groups: list[Dimensions]
    steps: list[int]
    counters: Ints
    moments: Floats
    low: Floats
    high: Floats
    histograms: Histograms | None

    def counter(self, name: str) -> Ints:
        """Return counter ``name`` by cell."""
        column: Ints = self.counters[:, self.kind.counter(name)]
        return column

    def quantile(self, q: float) -> Floats:
        """Return quantile ``q`` (0 to 1) by cell, nan for an empty one; see ``histogram.quantiles``."""
        assert self.histograms is not None
        h = self.histograms
        cells = len(self.counters)
        total = np.bincount(h.cell, weights=h.count, minlength=cells).astype(np.int64)
        found = np.full(cells, np.nan)
        filled = np.flatnonzero(total)
        if not len(filled):
            return found
        ends = np.cumsum(h.count)
        base = np.concatenate([[0], np.cumsum(total)[:-1]])[filled]
        rank = q * (total[filled] - 1)
        below = np.floor(rank)
        points = representatives(h.code)
        low = points[np.searchsorted(ends, base + below, side="right")]
        high = points[np.searchsorted(ends, base + np.ceil(rank), side="right")]
        value = low + (high - low) * (rank - below)
        # The extremes are known exactly, and no quantile lies beyond them.
        found[filled] = np.clip(value, self.low[filled], self.high[filled])
        return found

    def regroup(self, names: Sequence[str]) -> Summary:
        """Return the same sums by fewer dimensions."""
        places = [self.names.index(name) for name in names]
        numbers: dict[Dimensions, int] = {}
        target = [
            numbers.setdefault(tuple(group[place] for place in places), len(numbers))
            for group in self.groups
        ]
        if not names:
            numbers.setdefault((), 0)
        width = len(self.steps)
        cell = (np.repeat(np.array(target, np.int64), width) * width) + np.tile(
            np.arange(width), len(target)
        )
        cells = len(numbers) * width
        histograms = None
        if self.histograms is not None:
            h = self.histograms
            histograms = _histograms(cell[h.cell], h.code, h.count, cells)
        sums = _sums(cell, self.counters, self.moments, (self.low, self.high), cells)
        return Summary(self.kind, tuple(names), list(numbers), self.steps, *sums, histograms)


def summarise(
    kind: Kind, bucket: Keys, records: Records, by: Grouping, window: Window, *, histogram: bool
) -> Summary:
    """Add up the records that fall in a group, by group and step of the window.

    Without any dimension to group by there is one group always, so that "nothing" is a sum of zero.
    """
    groups = by.groups or ([()] if not by.names else [])
    steps = window.steps()
    series = records.totals["series"].astype(np.int64)
    group = np.full(len(series), -1, dtype=np.int64)
    inside = series < len(by.group_of)
    group[inside] = by.group_of[series[inside]]
    if window.step is None:
        cell = group
    else:
        cell = np.where(group < 0, -1, group * len(steps) + (bucket - steps[0]) // window.step)
    cells = len(groups) * len(steps)
    kept = cell >= 0
    t = records.totals if kept.all() else records.totals[kept]
    sums = _sums(cell[kept], t["counters"], t["moments"], (t["low"], t["high"]), cells)
    histograms = None
    if histogram:
        entry_cell = np.repeat(cell, records.totals["bins"])
        count = records.entries["count"].astype(np.int64)
        code = records.entries["code"]
        if not kept.all():
            used = entry_cell >= 0
            entry_cell, code, count = entry_cell[used], code[used], count[used]
        histograms = _histograms(entry_cell, code, count, cells)
    return Summary(kind, by.names, groups, steps, *sums, histograms)


def _sums(
    cell: Keys, counters: Ints, moments: Floats, extremes: tuple[Floats, Floats], cells: int
) -> tuple[Ints, Floats, Floats, Floats]:
    found = np.zeros((cells, counters.shape[1]), dtype=np.int64)
    measured = np.zeros((cells, 3))
    low, high = np.full(cells, np.inf), np.full(cells, -np.inf)
    if len(cell):
        # numpy sorts 16-bit integers by radix, in linear time.
        narrow = cell.astype(np.uint16) if cells <= 65_536 else cell
        order = np.argsort(narrow, kind="stable")
        ordered = cell[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        place = ordered[starts]
        found[place] = np.add.reduceat(counters[order], starts)
        measured[place] = np.add.reduceat(moments[order], starts)
        low[place] = np.minimum.reduceat(extremes[0][order], starts)
        high[place] = np.maximum.reduceat(extremes[1][order], starts)
    return found, measured, low, high


def _histograms(cell: Keys, code: npt.NDArray[np.int16], count: Ints, cells: int) -> Histograms:
    if not len(cell):
        return Histograms(cell, code, count)
    first = int(code.min())
    width = int(code.max()) - first + 1
    flat = cell * width + (code.astype(np.int64) - first)
    if cells * width <= _DENSE_LIMIT:
        # Weights are floats, exact up to 2**53 observations.
        dense = np.bincount(flat, weights=count, minlength=cells * width)
        kept = np.flatnonzero(dense)
        summed = dense[kept].astype(np.int64)
    else:
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        kept = ordered[starts]
        summed = np.add.reduceat(count[order], starts)
    return Histograms(kept // width, (kept % width + first).astype(np.int16), summed)
