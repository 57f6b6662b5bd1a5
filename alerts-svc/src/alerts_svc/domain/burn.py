"""Burn rates: how many times too fast an error budget is spent.

After The Site Reliability Workbook, chapter 5 ("Multiwindow, Multi-Burn-Rate Alerts").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alerts_svc.domain.reading import Finding, Missing, Reading
from alerts_svc.domain.rule import BurnRate, BurnWindow, Query
from alerts_svc.domain.severity import Severity, rank


def queries(condition: BurnRate) -> tuple[Query, ...]:
    """Return one question per length of window, in the order in which the windows first name them."""
    return tuple(
        Query(
            measure=condition.errors,
            aggregation="ratio",
            window_seconds=seconds,
            denominator=condition.total,
            group_by=condition.group_by,
            filters=condition.filters,
        )
        for seconds in lengths(condition)
    )


def lengths(condition: BurnRate) -> tuple[int, ...]:
    """Return the lengths of all windows, each once."""
    found: dict[int, None] = {}
    for window in condition.windows:
        found[window.long_seconds] = None
        found[window.short_seconds] = None
    return tuple(found)


def burn_rate(ratio: float | None, objective: float) -> float | None:
    """Return the ratio of errors over the error budget (1 is a budget that lasts exactly its period).

    ``None`` stands for what is not known: no ratio, or no budget to spend.
    """
    budget = 1.0 - objective
    if ratio is None or budget <= 0:
        return None
    rate = ratio / budget
    return rate if math.isfinite(rate) else None


def assess(condition: BurnRate, reading: Reading, level: Severity | None) -> Finding | Missing:
    """Return the gravest level of which both windows burn too fast.

    A pair of which a window is not known neither fires nor lets go: if it is what the present ``level`` may stand on,
    nothing can be said. The finding's value is the lesser rate of the two windows, which is what has to pass the factor.
    """
    rates = {
        seconds: burn_rate(ratio, condition.objective)
        for seconds, ratio in zip(lengths(condition), reading.values, strict=True)
    }
    known: list[tuple[BurnWindow, float]] = []
    unknown: list[BurnWindow] = []
    for window in condition.windows:
        long, short = rates[window.long_seconds], rates[window.short_seconds]
        if long is None or short is None:
            unknown.append(window)
        else:
            known.append((window, min(long, short)))
    reached = max(
        (rank(window.severity) for window, rate in known if rate > window.factor), default=0
    )
    if not known or (reached < rank(level) and _may_reach_more(unknown, reached)):
        return Missing("insufficient_data" if reading.samples else "no_data", reading.samples)
    return _finding(known, reached, reading.samples)


def _may_reach_more(unknown: Sequence[BurnWindow], reached: int) -> bool:
    return any(rank(window.severity) > reached for window in unknown)


def _finding(known: Sequence[tuple[BurnWindow, float]], reached: int, samples: float) -> Finding:
    """Tell of the pair that is furthest above its own factor, of those of the level that was reached."""
    told = [
        (window, rate)
        for window, rate in known
        if not reached or (rank(window.severity) == reached and rate > window.factor)
    ]
    window, rate = max(told, key=lambda pair: pair[1] - pair[0].factor)
    return Finding(window.severity if reached else None, rate, window.factor, samples)
