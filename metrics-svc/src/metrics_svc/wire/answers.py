"""Summaries as the read endpoints tell them. Counts of nothing are 0; rates and averages of nothing are null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from metrics_svc.domain.histogram import RELATIVE_ERROR
from metrics_svc.domain.summary import Summary
from metrics_svc.domain.window import Window
from metrics_svc.version import VERSION
from metrics_svc.wire.parameters import WindowRequest

Answer = dict[str, Any]
NANOS = 1_000_000_000
LAYERS = ("l1", "l2", "prompt")
_PERCENTILES = (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))
_MINUTES_PER_MONTH = 43_200
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
# Rounded up, so that what is stated holds.
ERROR = math.ceil(RELATIVE_ERROR * 1e6) / 1e6


def instant(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def head(asked: WindowRequest, window: Window, now: datetime, notes: Sequence[str] = ()) -> Answer:
    """Return what every answer begins with; ``notes`` say what a reader of the numbers should know."""
    return {
        "timestamp": instant(now.timestamp()),
        "time_window_minutes": asked.minutes,
        "version": VERSION,
        "filters": dict(asked.filters),
        "from": instant(window.start),
        "to": instant(window.end),
        "notes": list(notes),
    }


def usd(nanos: float) -> float:
    """Return nano-dollars as dollars."""
    return int(nanos) / NANOS


def percent(part: float, whole: float) -> float | None:
    """Return a share in percent, of nothing ``None``."""
    return round(100 * float(part) / float(whole), 4) if whole else None


def number(value: float, digits: int = 6) -> float | None:
    """Return a measured value to so many digits after the point, nan and infinities as ``None``."""
    return round(float(value), digits) if math.isfinite(value) else None


def count(value: float) -> float | int:
    """Return a number of samples, whole unless it is a sum of what is not counted."""
    return int(value) if float(value).is_integer() else float(value)


def latencies(found: Summary) -> list[Answer]:
    """Return count, average, percentiles and errors of each cell."""
    wanted = found.quantiles([q for _, q in _PERCENTILES])
    quantiles = {name: values for (name, _), values in zip(_PERCENTILES, wanted, strict=True)}
    counts, errors = found.counter("count"), found.counter("errors")
    answers: list[Answer] = []
    for cell in range(len(counts)):
        values = found.moments[cell]
        answers.append(
            {
                "count": int(counts[cell]),
                "avg_ms": number(values[1] / values[0]) if values[0] else None,
                "min_ms": number(found.low[cell]),
                "max_ms": number(found.high[cell]),
                **{name: number(found_q[cell]) for name, found_q in quantiles.items()},
                "samples": int(values[0]),
                "error_count": int(errors[cell]),
                "error_rate_percent": percent(errors[cell], counts[cell]),
            }
        )
    return answers


def by(
    name: str, found: Summary, answers: Sequence[Answer], *, order: str = "count"
) -> list[Answer]:
    """Return the answers of the groups of one dimension, the largest first."""
    named = [
        {name: group[0], **answer} for group, answer in zip(found.groups, answers, strict=True)
    ]
    return sorted(
        (answer for answer in named if answer[order]),
        key=lambda answer: (-answer[order], str(answer[name])),
    )


def points(found: Summary, answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers of the steps, in order of time."""
    return [
        {"timestamp": instant(step), **answer}
        for step, answer in zip(found.steps, answers, strict=True)
    ]


def costs_of(found: Summary) -> list[Answer]:
    """Return calls, cost and tokens of each cell."""
    calls, nanos = found.counter("count"), found.counter("cost_nanos")
    unpriced, hits = found.counter("unpriced"), found.counter("cache_hits")
    saved = found.counter("cache_savings_nanos")
    tokens = {name: found.counter(name) for name in _TOKENS}
    return [
        {
            "calls": int(calls[cell]),
            "cost_usd": usd(nanos[cell]),
            "unpriced_calls": int(unpriced[cell]),
            "cache_hit_rate_percent": percent(hits[cell], calls[cell]),
            "cache_savings_usd": usd(saved[cell]),
            "tokens": {name: int(column[cell]) for name, column in tokens.items()},
        }
        for cell in range(len(calls))
    ]


def projections(total_usd: float, minutes: int) -> Answer:
    """Return the window's cost scaled to an hour, a day and 30 days."""
    monthly = total_usd * _MINUTES_PER_MONTH / minutes
    return {
        "projected_hourly_cost_usd": round(monthly / 720, 9),
        "projected_daily_cost_usd": round(monthly / 30, 9),
        "projected_monthly_cost_usd": round(monthly, 9),
    }


def quality_of(found: Summary) -> list[Answer]:
    """Return evaluations, average score and the two rates of each cell."""
    count = found.counter("count")
    refined, refined_known = found.counter("refined"), found.counter("refined_known")
    accepted, known = (
        found.counter("accepted_first_pass"),
        found.counter("accepted_first_pass_known"),
    )
    return [
        {
            "evaluations": int(count[cell]),
            "scored": int(found.moments[cell][0]),
            "avg_quality_score": number(found.moments[cell][1] / found.moments[cell][0])
            if found.moments[cell][0]
            else None,
            "min_quality_score": number(found.low[cell]),
            "max_quality_score": number(found.high[cell]),
            "refinement_rate_percent": percent(refined[cell], refined_known[cell]),
            "first_pass_acceptance_rate_percent": percent(accepted[cell], known[cell]),
        }
        for cell in range(len(count))
    ]


def lookups_of(found: Summary) -> list[Answer]:
    """Return hits, misses by reason and what was saved of each cell."""
    count, hits = found.counter("count"), found.counter("hits")
    reasons = {name: found.counter(f"misses_{name}") for name in ("cold", "expired", "evicted")}
    saved = found.counter("saved_nanos")
    answers: list[Answer] = []
    for cell in range(len(count)):
        misses = int(count[cell] - hits[cell])
        told = {name: int(column[cell]) for name, column in reasons.items()}
        answers.append(
            {
                "hits": int(hits[cell]),
                "misses": misses,
                "hit_rate_percent": percent(hits[cell], count[cell]),
                "miss_reasons": {**told, "unknown": misses - sum(told.values())},
                "saved_ms": number(found.moments[cell][1]),
                "saved_usd": usd(saved[cell]),
            }
        )
    return answers


def layers(found: Summary) -> list[Answer]:
    """Return the look-ups by layer; a layer without any is there with zeros."""
    told = {group[0]: answer for group, answer in zip(found.groups, lookups_of(found), strict=True)}
    nothing: Mapping[str, Any] = {
        "hits": 0,
        "misses": 0,
        "hit_rate_percent": None,
        "miss_reasons": {"cold": 0, "expired": 0, "evicted": 0, "unknown": 0},
        "saved_ms": 0.0,
        "saved_usd": 0.0,
    }
    named = [*LAYERS, *sorted(str(layer) for layer in told if layer not in LAYERS)]
    return [{"layer": layer, **told.get(layer, nothing)} for layer in named]
