from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.block import add, empty, encode, observed
from tests.metrics_svc.unit.blocks import (
    COUNTERS,
    Observation,
    block_of,
    contents,
    decoded,
    observations,
    summed,
)

lists = st.lists(observations, max_size=25)


@given(lists)
def test_block_holds_what_adding_one_by_one_gives(found: list[Observation]) -> None:
    assert contents(block_of(found)) == summed(found)


@given(lists, lists, lists)
def test_adding_is_associative(
    a: list[Observation], b: list[Observation], c: list[Observation]
) -> None:
    left = add([add([block_of(a), block_of(b)]), block_of(c)])
    right = add([block_of(a), add([block_of(b), block_of(c)])])

    assert contents(left) == contents(right) == summed([*a, *b, *c])


@given(lists, lists)
def test_adding_is_commutative(a: list[Observation], b: list[Observation]) -> None:
    one, other = add([block_of(a), block_of(b)]), add([block_of(b), block_of(a)])

    assert contents(one) == contents(other)


@given(lists)
def test_empty_block_is_the_zero(found: list[Observation]) -> None:
    block = block_of(found)

    assert contents(add([block, empty(COUNTERS)])) == contents(block)
    assert contents(add([empty(COUNTERS), block])) == contents(block)
    assert contents(add([empty(COUNTERS), empty(COUNTERS)])) == {}


@given(lists, st.data())
def test_selected_rows_keep_their_totals_and_histograms(
    found: list[Observation], data: st.DataObject
) -> None:
    block = block_of(found)
    wanted = data.draw(st.lists(st.sampled_from([*range(len(block)), None]), unique=True))
    rows = sorted(row for row in wanted if row is not None)

    selected = block.select(np.array(rows, dtype=np.intp))

    keys = block.keys[rows].tolist()
    assert contents(selected) == {key: summed(found)[key] for key in keys}


@given(lists, st.dictionaries(st.integers(0, 12), st.integers(0, 3)))
def test_other_keys_join_what_falls_together(
    found: list[Observation], moved: dict[int, int]
) -> None:
    block = block_of(found)

    joined = block.with_keys(np.array([moved.get(key, key) for key in block.keys.tolist()], int))

    assert contents(joined) == summed([replace(o, key=moved.get(o.key, o.key)) for o in found])


@given(st.lists(lists, min_size=1, max_size=4))
def test_stored_rows_read_together_are_the_sum_of_the_blocks(
    groups: list[list[Observation]],
) -> None:
    stored = [encode(block_of(found)) for found in groups]

    records = decoded(
        COUNTERS, [0] * len(stored), [t for t, _, _ in stored], [e for _, e, _ in stored]
    )

    keys = records.totals["series"].astype(np.int64)
    assert contents(records.block(keys)) == summed([o for found in groups for o in found])


@given(lists)
def test_offsets_cut_the_entries_of_each_key(found: list[Observation]) -> None:
    block = block_of(found)
    totals, entries, offsets = encode(block)
    size = len(totals) // len(block) if len(block) else 0

    pieces = [
        decoded(COUNTERS, [0], [totals[n * size : (n + 1) * size]], [entries[start:end]])
        for n, (start, end) in enumerate(itertools.pairwise(offsets))
    ]

    assert offsets[-1] == len(entries)
    for key, piece in zip(block.keys.tolist(), pieces, strict=True):
        alone = piece.block(piece.totals["series"].astype(np.int64))
        assert contents(alone) == {key: summed(found)[key]}


@pytest.mark.parametrize("count", [1, 65_534, 65_535, 65_536, 131_070, 131_071, 5_000_000])
def test_counts_beyond_sixteen_bits_survive(count: int) -> None:
    small = [Observation(1, (1, 0, 0), 7.0), Observation(2, (1, 0, 0), 7.0)]
    block = block_of(small)
    large = replace(block, bin_count=np.array([count, 3], dtype=np.int64))

    totals, entries, _ = encode(large)
    records = decoded(COUNTERS, [0], [totals], [entries])

    read = records.block(records.totals["series"].astype(np.int64))
    assert read.bin_count.tolist() == [count, 3]
    assert read.bin_row.tolist() == [0, 1]


def test_values_that_are_missing_count_without_moments() -> None:
    block = observed(np.ones((2, COUNTERS), np.int64), np.array([np.nan, 4.0]))

    assert block.moments.tolist() == [[0, 0, 0], [1, 4, 16]]
    assert block.low.tolist() == [np.inf, 4.0]
    assert block.high.tolist() == [-np.inf, 4.0]
    assert block.bin_row.tolist() == [1]


def test_totals_can_be_read_without_histograms() -> None:
    totals, _, _ = encode(block_of([Observation(5, (7, 0, 1), 3.0)]))

    records = decoded(COUNTERS, [0], [totals], [b""])

    assert records.totals["counters"].tolist() == [[7, 0, 1]]
