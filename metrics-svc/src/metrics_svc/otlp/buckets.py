"""The buckets of OTLP histograms: values that stand for them, and what was added between two readings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Self

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
)

MAX_BUCKETS = 2_048
MIN_SCALE, MAX_SCALE = -10, 20
# The histogram of a rollup ends at 2**256.
MAX_VALUE = 1e77
_SMALLEST, _LARGEST = -1_074.0, 1_023.0

Bins = tuple[tuple[float, int], ...]


class BucketError(Exception):
    """The buckets of a point contradict themselves or are too many; the message is a reason for its refusal."""


class Buckets(msgspec.Struct, frozen=True, array_like=True):
    """Counts by bucket, none of them zero.

    With ``scale`` they are exponential: index ``i`` of ``positive`` counts (base**i, base**(i + 1)] for base
    2**(2**-scale), ``negative`` mirrors it. Without, ``positive`` counts by position in the explicit ``bounds``.
    """

    positive: dict[int, int]
    negative: dict[int, int] = {}
    zero: int = 0
    scale: int | None = None
    bounds: tuple[float, ...] = ()

    @classmethod
    def explicit(cls, point: HistogramDataPoint) -> Self | None:
        """Read a histogram with explicit bounds; ``None`` where it has count and sum only, as it may."""
        bounds, counts = tuple(point.explicit_bounds), point.bucket_counts
        if not counts and not bounds:
            return None
        if len(counts) > MAX_BUCKETS:
            raise BucketError(f"with more than {MAX_BUCKETS} buckets")
        if len(counts) != len(bounds) + 1:
            raise BucketError("with bucket counts that do not fit their bounds")
        if not all(map(math.isfinite, bounds)) or not all(a < b for a, b in pairwise(bounds)):
            raise BucketError("with bounds that do not rise")
        if sum(counts) != point.count:
            raise BucketError("with buckets that do not add up to their count")
        return cls(positive=_counted(counts, 0), bounds=bounds)

    @classmethod
    def exponential(cls, point: ExponentialHistogramDataPoint) -> Self:
        if not MIN_SCALE <= point.scale <= MAX_SCALE:
            raise BucketError(f"with a scale outside of {MIN_SCALE} to {MAX_SCALE}")
        if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > MAX_BUCKETS:
            raise BucketError(f"with more than {MAX_BUCKETS} buckets")
        positive = _counted(point.positive.bucket_counts, point.positive.offset)
        negative = _counted(point.negative.bucket_counts, point.negative.offset)
        if sum(positive.values()) + sum(negative.values()) + point.zero_count != point.count:
            raise BucketError("with buckets that do not add up to their count")
        return cls(positive=positive, negative=negative, zero=point.zero_count, scale=point.scale)

    def since(self, earlier: Buckets) -> Buckets | None:
        """Return what was added after ``earlier``; ``None`` where nothing can have led from there to here.

        An exponential histogram halves its resolution as its range grows, so the finer one is brought to the coarser.
        """
        if (self.scale is None) != (earlier.scale is None) or self.bounds != earlier.bounds:
            return None
        if self.scale is None or earlier.scale is None:
            scale, shifts = None, (0, 0)
        else:
            scale = min(self.scale, earlier.scale)
            shifts = (self.scale - scale, earlier.scale - scale)
        positive = _added(_coarser(self.positive, shifts[0]), _coarser(earlier.positive, shifts[1]))
        negative = _added(_coarser(self.negative, shifts[0]), _coarser(earlier.negative, shifts[1]))
        if positive is None or negative is None or self.zero < earlier.zero:
            return None
        return Buckets(positive, negative, self.zero - earlier.zero, scale, self.bounds)

    def bins(self, low: float | None = None, high: float | None = None) -> Bins:
        """Return rising (value, count) pairs whose values lie in their buckets and within ``low`` and ``high``.

        An exponential bucket is stood for by its geometric mean: relative error at most sqrt(base) - 1. An explicit
        one by the geometric mean of its bounds, or their middle where they are not both positive: no percentile is
        better than the bounds that the sender chose.
        """
        if self.scale is None:
            found = self._explicit_bins(low, high)
        else:
            found = self._exponential_bins(self.scale)
        least = -MAX_VALUE if low is None else low
        most = MAX_VALUE if high is None else high
        return tuple((min(max(value, least), most), count) for value, count in found)

    def _explicit_bins(self, low: float | None, high: float | None) -> Iterator[tuple[float, int]]:
        for position, count in sorted(self.positive.items()):
            yield _explicit_middle(self.bounds, position, low, high), count

    def _exponential_bins(self, scale: int) -> Iterator[tuple[float, int]]:
        for index, count in sorted(self.negative.items(), reverse=True):
            yield -_exponential_middle(scale, index), count
        if self.zero:
            yield 0.0, self.zero
        for index, count in sorted(self.positive.items()):
            yield _exponential_middle(scale, index), count


def _counted(counts: Sequence[int], offset: int) -> dict[int, int]:
    return {offset + position: count for position, count in enumerate(counts) if count}


def _coarser(counts: dict[int, int], shift: int) -> dict[int, int]:
    if not shift:
        return counts
    merged: dict[int, int] = {}
    for index, count in counts.items():
        merged[index >> shift] = merged.get(index >> shift, 0) + count
    return merged


def _added(now: Mapping[int, int], earlier: Mapping[int, int]) -> dict[int, int] | None:
    if any(now.get(index, 0) < count for index, count in earlier.items()):
        return None
    added = {index: count - earlier.get(index, 0) for index, count in now.items()}
    return {index: count for index, count in added.items() if count}


def _explicit_middle(
    bounds: tuple[float, ...], position: int, low: float | None, high: float | None
) -> float:
    """Return the value for a bucket; an open end is closed by the extreme, where the sender knows it."""
    if not bounds:
        return low if low is not None else 0.0
    if position == 0:
        lower = low if low is not None else min(0.0, bounds[0])
        upper = bounds[0]
    elif position == len(bounds):
        lower = bounds[-1]
        upper = high if high is not None else lower
    else:
        lower, upper = bounds[position - 1], bounds[position]
    if lower >= upper:
        return lower
    # Each half alone, since the sum or product of two large numbers may be none.
    return math.sqrt(lower) * math.sqrt(upper) if lower > 0 else lower / 2 + upper / 2


def _exponential_middle(scale: int, index: int) -> float:
    exponent = (index + 0.5) * math.ldexp(1.0, -scale)
    return math.exp2(min(max(exponent, _SMALLEST), _LARGEST))
