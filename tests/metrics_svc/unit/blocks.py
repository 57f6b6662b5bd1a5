"""Blocks for property tests, and totals added up one by one to hold them against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from metrics_svc.domain.block import Block, Records, decode, observed, piece, record
from metrics_svc.domain.histogram import codes

COUNTERS = 3


@dataclass
class Sum:
    """What a block holds for one key."""

    counters: list[int] = field(default_factory=lambda: [0] * COUNTERS)
    number: int = 0
    # Whole values, so that their sums do not depend on the order.
    total: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    histogram: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Observation:
    key: int
    counters: tuple[int, int, int]
    value: float | None


observations = st.builds(
    Observation,
    st.integers(0, 12),
    st.tuples(st.integers(0, 2**40), st.integers(-5, 5), st.integers(0, 1)),
    st.none() | st.integers(-1_000, 1_000).map(float),
)


def block_of(found: list[Observation]) -> Block:
    counters = np.array([o.counters for o in found], dtype=np.int64).reshape(-1, COUNTERS)
    values = np.array([np.nan if o.value is None else o.value for o in found], dtype=np.float64)
    return observed(counters, values).with_keys(np.array([o.key for o in found], dtype=np.int64))


def summed(found: list[Observation]) -> dict[int, Sum]:
    sums: dict[int, Sum] = {}
    for o in found:
        into = sums.setdefault(o.key, Sum())
        into.counters = [a + b for a, b in zip(into.counters, o.counters, strict=True)]
        if o.value is not None:
            into.number += 1
            into.total += o.value
            into.squares += o.value * o.value
            into.low, into.high = min(into.low, o.value), max(into.high, o.value)
            into.histogram[int(codes(np.array([o.value]))[0])] += 1
    return sums


def contents(block: Block) -> dict[int, Sum]:
    """Return a block key by key; the keys must ascend, as must the histogram's entries."""
    assert np.all(np.diff(block.keys) > 0)
    places = block.bin_row * 65_536 + block.bin_code
    assert np.all(np.diff(places) > 0)
    found: dict[int, Sum] = {}
    for row, key in enumerate(block.keys.tolist()):
        mine = block.bin_row == row
        bins = zip(block.bin_code[mine].tolist(), block.bin_count[mine].tolist(), strict=True)
        number, total, squares = block.moments[row].tolist()
        found[key] = Sum(
            block.counters[row].tolist(),
            int(number),
            total,
            squares,
            float(block.low[row]),
            float(block.high[row]),
            Counter(dict(bins)),
        )
    return found


def decoded(
    counters: int, buckets: Sequence[int], totals: Sequence[bytes], entries: Sequence[bytes]
) -> Records:
    """Read stored rows as the store does."""
    size = record(counters).itemsize
    pieces = [piece(len(row) // size, found) for row, found in zip(totals, entries, strict=True)]
    return decode(counters, buckets, totals, pieces)
