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


def _running(terms: Sequence[float], length: int) -> list[float]:
    """Return for each term the sum of the last ``length``; exactly 0 where all of those are."""
    sums: list[float] = []
    total, others = 0.0, 0
    for index, term in enumerate(terms):
        if term:
            total += term
            others += 1
        left = terms[index - length] if index >= length else 0.0
        if left:
            others -= 1
            # Leaving terms must leave no rounding behind.
            total = total - left if others else 0.0
        sums.append(total)
    return sums


def _totals(steps: Sequence[Measured], length: int) -> list[Measured]:
    totals = _running([value or 0.0 for value, _ in steps], length)
    known = _running([value is not None for value, _ in steps], length)
    return [
        (total if present else None, count)
        for total, present, count in zip(totals, known, _counts(steps, length), strict=True)
    ]


def _rates(steps: Sequence[Measured], length: int) -> list[Measured]:
    totals = _running([value or 0.0 for value, _ in steps], length)
    known = _running([value is not None for value, _ in steps], length)
    return [
        (total / present if present else None, count)
        for total, present, count in zip(totals, known, _counts(steps, length), strict=True)
    ]


def _means(steps: Sequence[Measured], length: int) -> list[Measured]:
    weighted = _running([(value or 0.0) * count for value, count in steps], length)
    counts = _running([0.0 if value is None else count for value, count in steps], length)
    return [
        (total / count if count else None, count)
        for total, count in zip(weighted, counts, strict=True)
    ]


def _counts(steps: Sequence[Measured], length: int) -> list[float]:
    return _running([count for _, count in steps], length)


def _extremes(
    steps: Sequence[Measured], length: int, gives_way: Callable[[float, float], bool]
) -> list[Measured]:
    # Holds only those that can still become the extreme, so that each step is looked at twice at most.
    candidates: deque[tuple[int, float]] = deque()
    found: list[Measured] = []
    for index, (step, count) in enumerate(zip(steps, _counts(steps, length), strict=True)):
        value = step[0]
        if value is not None:
            while candidates and gives_way(candidates[-1][1], value):
                candidates.pop()
            candidates.append((index, value))
        if candidates and candidates[0][0] <= index - length:
            candidates.popleft()
        found.append((candidates[0][1] if candidates else None, count))
    return found
