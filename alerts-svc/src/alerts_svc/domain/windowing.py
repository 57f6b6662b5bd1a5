"""Windows of several steps, put together from what was measured in each step.

Sums, counts, ratios, means, least and greatest values come out as if measured over the whole window. Percentiles and standard
deviations cannot be put together from those of the steps; the mean of the steps', by their samples, stands for them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from alerts_svc.domain.rule import Query

Measured = tuple[float | None, float]
"""A value and its samples."""


def rolled(query: Query, steps: Sequence[Measured], *, step_seconds: int) -> list[Measured]:
    """Return for each step the query's value over the window that ends with it.

    A window that is no longer than a step is the step.
    """
    length = math.ceil(query.window_seconds / step_seconds)
    if length <= 1:
        return list(steps)
    match query.aggregation:
        case "sum" | "count":
            return _totals(steps, length)
        case "rate":
            return _rates(steps, length)
        case "min":
            return _extremes(steps, length, lambda old, new: old >= new)
        case "max":
            return _extremes(steps, length, lambda old, new: old <= new)
    return _means(steps, length)


class _Sum:
    """A sum over the last terms. It is exactly 0 when all of them are: leaving ones leave no rounding behind."""

    def __init__(self, length: int) -> None:
        self._terms: deque[float] = deque()
        self._length = length
        self._others = 0
        self._total = 0.0

    def add(self, term: float) -> float:
        self._terms.append(term)
        self._count(term, 1)
        if len(self._terms) > self._length:
            self._count(self._terms.popleft(), -1)
        return self._total

    def _count(self, term: float, sign: int) -> None:
        if term:
            self._others += sign
            self._total = self._total + sign * term if self._others else 0.0


def _totals(steps: Sequence[Measured], length: int) -> list[Measured]:
    total, samples, known = _Sum(length), _Sum(length), _Sum(length)
    found: list[Measured] = []
    for value, count in steps:
        summed = total.add(value or 0.0)
        counted = samples.add(count)
        found.append((summed if known.add(float(value is not None)) else None, counted))
    return found


def _rates(steps: Sequence[Measured], length: int) -> list[Measured]:
    known = [(1.0 if value is not None else None, 0.0) for value, _ in steps]
    return [
        (None if total is None or not present else total / present, count)
        for (total, count), (present, _) in zip(
            _totals(steps, length), _totals(known, length), strict=True
        )
    ]


def _means(steps: Sequence[Measured], length: int) -> list[Measured]:
    weighted, samples = _Sum(length), _Sum(length)
    found: list[Measured] = []
    for value, count in steps:
        weight = 0.0 if value is None else count
        total = weighted.add((value or 0.0) * weight)
        counted = samples.add(weight)
        found.append((total / counted if counted else None, counted))
    return found


def _extremes(
    steps: Sequence[Measured], length: int, gives_way: Callable[[float, float], bool]
) -> list[Measured]:
    # Holds only those that can still become the extreme, so that each step is looked at twice at most.
    candidates: deque[tuple[int, float]] = deque()
    samples = _Sum(length)
    found: list[Measured] = []
    for index, (value, count) in enumerate(steps):
        if value is not None:
            while candidates and gives_way(candidates[-1][1], value):
                candidates.pop()
            candidates.append((index, value))
        if candidates and candidates[0][0] <= index - length:
            candidates.popleft()
        found.append((candidates[0][1] if candidates else None, samples.add(count)))
    return found
