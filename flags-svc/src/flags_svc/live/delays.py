"""How soon changes were in force: a histogram that processes count together."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping

from flags_svc.instruments import APPLIED_BUCKETS


def bucket_of(seconds: float) -> float:
    """Return the least upper bound that holds for ``seconds``; infinity beyond the last."""
    index = bisect_left(APPLIED_BUCKETS, seconds)
    return APPLIED_BUCKETS[index] if index < len(APPLIED_BUCKETS) else math.inf


def quantile(counts: Mapping[float, int], share: float) -> float | None:
    """Return what ``share`` of all did not exceed, ``None`` without any.

    It is exact to its bucket, within which all are taken to be spread evenly; beyond the last
    bound it is that bound.
    """
    wanted = share * sum(counts.values())
    if wanted <= 0:
        return None
    below, lower = 0, 0.0
    for upper in APPLIED_BUCKETS:
        here = counts.get(upper, 0)
        if below + here >= wanted:
            return lower + (upper - lower) * (wanted - below) / here
        below, lower = below + here, upper
    return lower


def told(counts: Mapping[float, int]) -> dict[str, object]:
    """Return the histogram as it is told: each bucket with all that came sooner."""
    buckets, sum_ = [], 0
    for upper in APPLIED_BUCKETS:
        sum_ += counts.get(upper, 0)
        buckets.append({"le": upper, "count": sum_})
    return {
        "unit": "seconds",
        "count": sum(counts.values()),
        "p50": quantile(counts, 0.5),
        "p99": quantile(counts, 0.99),
        "buckets": buckets,
    }
