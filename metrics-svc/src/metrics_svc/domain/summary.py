"""Summaries: stored records added up by group and step, and what can be said of each sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics_svc.domain.block import Floats, Ints, Keys, Records
from metrics_svc.domain.histogram import quantiles
from metrics_svc.domain.kind import FLAG_DIMENSIONS, Kind
from metrics_svc.domain.tally import Dimensions
from metrics_svc.domain.window import Window

# Above this many (cell, code) pairs a histogram is added up by sorting instead of by counting into an array.
_DENSE_LIMIT = 4_000_000

MAX_CELLS = 50_000

Filters = Mapping[str, frozenset[str | None]]


class TooManyCellsError(Exception):
    """A question would be answered with more values than anybody can read."""


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
        return self.quantiles([q])[0]

    def quantiles(self, wanted: Sequence[float]) -> list[Floats]:
        """Return several quantiles at once, each by cell."""
        assert self.histograms is not None
        h = self.histograms
        sizes = np.zeros(len(self.counters), dtype=np.int64)
        np.add.at(sizes, h.cell, h.count)
        # The extremes are known exactly, and no quantile lies beyond them.
        return [
            np.clip(found, self.low, self.high)
            for found in quantiles(sizes, h.code, h.count, wanted)
        ]

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
    kind: Kind, records: Records, by: Grouping, window: Window, *, histogram: bool
) -> Summary:
    """Add up the records that fall in a group, by group and step of the window.

    Without any dimension to group by there is one group always, so that "nothing" is a sum of zero; else groups
    without a record are left out. Raises ``TooManyCellsError`` for many more cells than records.
    """
    series = records.series
    group = np.full(len(series), -1, dtype=np.int64)
    inside = series < len(by.group_of)
    group[inside] = by.group_of[series[inside]]
    groups, group = _occurring(by, group)
    steps = window.steps()
    if len(groups) * len(steps) > max(MAX_CELLS, len(series)):
        raise TooManyCellsError(
            f"the answer would have {len(groups) * len(steps)} values, at most {MAX_CELLS}"
        )
    if window.step is None:
        cell = group
    else:
        cell = np.where(
            group < 0, -1, group * len(steps) + (records.bucket - steps[0]) // window.step
        )
    cells = len(groups) * len(steps)
    kept = cell >= 0
    t = records.totals if kept.all() else records.totals[kept]
    sums = _sums(cell[kept], t["counters"], t["moments"], (t["low"], t["high"]), cells)
    histograms = _gathered(records, cell, cells) if histogram else None
    return Summary(kind, by.names, groups, steps, *sums, histograms)


def _occurring(by: Grouping, group: Keys) -> tuple[list[Dimensions], Keys]:
    """Return the groups that occur, and the number among them of each record's group."""
    if not by.names:
        return [()], group
    # The last place is that of -1, no group.
    seen = np.bincount(group + 1, minlength=len(by.groups) + 1)[1:] > 0
    place = np.append(np.cumsum(seen) - 1, -1)
    return [by.groups[number] for number in np.flatnonzero(seen).tolist()], place[group]


def _sums(
    cell: Keys, counters: Ints, moments: Floats, extremes: tuple[Floats, Floats], cells: int
) -> tuple[Ints, Floats, Floats, Floats]:
    # Column by column, each laid out in one piece: records are wide, and numpy is slow across strides.
    found = np.zeros((counters.shape[1], cells), dtype=np.int64)
    measured = np.zeros((3, cells))
    low, high = np.full(cells, np.inf), np.full(cells, -np.inf)
    for column in range(len(found)):
        np.add.at(found[column], cell, np.ascontiguousarray(counters[:, column]))
    for column in range(len(measured)):
        np.add.at(measured[column], cell, np.ascontiguousarray(moments[:, column]))
    np.minimum.at(low, cell, np.ascontiguousarray(extremes[0]))
    np.maximum.at(high, cell, np.ascontiguousarray(extremes[1]))
    return found.T, measured.T, low, high


def _gathered(records: Records, cell: Keys, cells: int) -> Histograms:
    """Add up the entries of records whose ``cell`` is not -1."""
    bins = records.totals["bins"].astype(np.int64)
    spans = [piece.codes for piece in records.pieces if len(piece.entries)]
    if not spans:
        return Histograms(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0, np.int64))
    first = min(least for least, _ in spans)
    width = max(most for _, most in spans) - first + 1
    if cells * width > _DENSE_LIMIT:
        entries = records.joined()
        of_entry = np.repeat(cell, bins)
        used = of_entry >= 0
        count = entries["count"][used].astype(np.int64)
        return _histograms(of_entry[used], entries["code"][used], count, cells)
    # The last row takes what belongs nowhere.
    dense = np.zeros((cells + 1) * width, dtype=np.int64)
    offset = np.where(cell < 0, cells, cell) * width - first
    # Piece by piece: each stays in the processor's cache, and fresh memory for the whole would cost more than the sums.
    start = 0
    for piece in records.pieces:
        end = start + piece.records
        flat = np.repeat(offset[start:end], bins[start:end]) + piece.entries["code"]
        np.add.at(dense, flat, piece.entries["count"].astype(np.int64))
        start = end
    return _compact(dense[: cells * width], width, first)


def _histograms(cell: Keys, code: npt.NDArray[np.int16], count: Ints, cells: int) -> Histograms:
    if not len(cell):
        return Histograms(cell, code, count)
    first = int(code.min())
    width = int(code.max()) - first + 1
    flat = cell * width + (code.astype(np.int64) - first)
    if cells * width <= _DENSE_LIMIT:
        dense = np.zeros(cells * width, dtype=np.int64)
        np.add.at(dense, flat, count)
        return _compact(dense, width, first)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    place = ordered[starts]
    code = (place % width + first).astype(np.int16)
    return Histograms(place // width, code, np.add.reduceat(count[order], starts))


def _compact(dense: Ints, width: int, first: int) -> Histograms:
    place = np.flatnonzero(dense)
    return Histograms(place // width, (place % width + first).astype(np.int16), dense[place])
