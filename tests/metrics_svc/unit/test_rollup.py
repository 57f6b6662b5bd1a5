"""What a writer holds in memory and writes, against a plain count of the same events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain import rollup
from metrics_svc.domain.block import Block, encode
from metrics_svc.domain.rollup import FOREVER, RESOLUTIONS, Late, Live, RollupRow, Totals
from tests.metrics_svc.unit.blocks import (
    COUNTERS,
    Observation,
    Sum,
    block_of,
    contents,
    decoded,
    summed,
)

KIND = "performance"
START = 1_800_000_000
Event = tuple[int, int, int]


class Store:
    """Rows as the table holds them: written whole, by primary key."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, int, int, str], RollupRow] = {}

    def write(self, writer: str, rows: Sequence[RollupRow]) -> None:
        for row in rows:
            self.rows[row.kind, row.resolution, row.bucket, row.part, writer] = row

    def block(self, resolution: int, since: int = 0, until: int = FOREVER) -> Block:
        found = [
            row
            for row in self.rows.values()
            if row.resolution == resolution and since <= row.bucket < until
        ]
        records = decoded(
            COUNTERS,
            [row.bucket for row in found],
            [row.totals for row in found],
            [row.entries for row in found],
        )
        size = records.totals.dtype.itemsize
        bucket = np.repeat(
            np.array([row.bucket for row in found], np.int64),
            [len(row.totals) // size for row in found],
        )
        series = records.totals["series"].astype(np.int64)
        return records.block(rollup.key(bucket, series))


class Life:
    """A writer with its late writer, as ``writer.Writer`` and ``store.rollups.fold`` act together."""

    def __init__(self) -> None:
        self.store = Store()
        self.live = Live(START)
        self.late = Late()
        self.writers = 0
        self.folded = dict.fromkeys(RESOLUTIONS[1:], START)

    def add(self, events: Sequence[Event]) -> None:
        live, late = rollup.split(delta(events), self.live.folded)
        self.live, rows = self.live.record(live)
        self.store.write("live", rows)
        if not late:
            return
        self.writers += self.late.needs_writer
        self.late, by_writer = self.late.record(late, self.writers)
        for owner, rows in by_writer.items():
            self.store.write(f"late {owner}", rows)

    def shrink(self, limit: int) -> None:
        self.late = self.late.shrink(limit)

    def fold(self, until: int) -> None:
        if until <= self.live.folded:
            return
        for fine, coarse in rollup.COARSER.items():
            target = max(self.folded[coarse], rollup.floor(until, coarse))
            mine = Store()
            mine.rows = {k: row for k, row in self.store.rows.items() if k[4] == "live"}
            block = mine.block(fine, self.folded[coarse], target)
            self.store.write("live", list(rollup.rows(KIND, coarse, rollup.coarsen(block, coarse))))
            self.folded[coarse] = target
        self.live = self.live.fold(until)


def delta(events: Sequence[Event]) -> Totals:
    return {KIND: block_of([observation(event, 10) for event in events])} if events else {}


def observation(event: Event, resolution: int) -> Observation:
    at, series, value = event
    bucket = rollup.floor(START + at, resolution)
    return Observation(bucket << 32 | series, (1, value, 0), value)


def expected(events: Sequence[Event], resolution: int) -> dict[int, Sum]:
    return summed([observation(event, resolution) for event in events])


# Two hours on either side of a full hour, over series of several parts.
events = st.lists(
    st.tuples(
        st.integers(-7_200, 7_200),
        st.sampled_from([1, 2, 63, 64, 511, 512, 70_000]),
        st.integers(0, 50),
    ),
    max_size=12,
)
folds = st.integers(0, 130).map(lambda minutes: START + 60 * minutes)
# None lets go of most late totals, as if they took too much memory.
acts = st.one_of(events, folds, st.none())


@given(st.lists(acts, max_size=12))
def test_rows_of_any_history_add_up_to_all_events_at_every_resolution(
    history: list[list[Event] | int | None],
) -> None:
    life = Life()
    sent: list[Event] = []
    for act in history:
        if act is None:
            life.shrink(1_000)
        elif isinstance(act, int):
            life.fold(act)
        else:
            life.add(act)
            sent.extend(act)

    life.fold(START + 24 * 3600)

    for resolution in RESOLUTIONS:
        assert contents(life.store.block(resolution)) == expected(sent, resolution)


@given(st.lists(events, min_size=1, max_size=6))
def test_finest_rows_are_complete_before_any_fold(batches: list[list[Event]]) -> None:
    life = Life()

    for batch in batches:
        life.add(batch)

    assert contents(life.store.block(10)) == expected([e for b in batches for e in b], 10)


@given(events, st.integers(-7_200, 7_200))
def test_split_loses_nothing_and_puts_each_bucket_on_its_side(found: list[Event], at: int) -> None:
    folded = rollup.floor(START + at, 10)

    live, late = rollup.split(delta(found), folded)

    for part in live.values():
        assert (rollup.buckets(part) >= folded).all()
        assert len(part)
    for part in late.values():
        assert (rollup.buckets(part) < folded).all()
        assert len(part)
    both = {
        key: s for part in (live, late) for b in part.values() for key, s in contents(b).items()
    }
    assert both == expected(found, 10)


@given(events)
def test_rows_hold_one_bucket_and_one_part_each(found: list[Event]) -> None:
    for resolution in RESOLUTIONS:
        blocks = [rollup.coarsen(block, resolution) for block in delta(found).values()]
        made = [row for block in blocks for row in rollup.rows(KIND, resolution, block)]

        assert len({(row.bucket, row.part) for row in made}) == len(made)
        for row in made:
            assert row.bucket % resolution == 0
            series = (
                decoded(COUNTERS, [0], [row.totals], [row.entries])
                .totals["series"]
                .astype(np.int64)
            )
            assert set(rollup.parts(series, resolution).tolist()) == {row.part}


@given(events, events)
def test_recording_writes_only_rows_that_changed(first: list[Event], second: list[Event]) -> None:
    live, _ = Live().record(delta(first))

    _, rows = live.record(delta(second))

    touched = {(rollup.floor(START + at, 10), series >> 6) for at, series, _ in second}
    assert {(row.bucket, row.part) for row in rows} == touched


def test_recording_leaves_the_state_before_as_it_was() -> None:
    before, _ = Live().record(delta([(0, 1, 5)]))
    late_before, _ = Late().record(delta([(0, 1, 5)]), 1)

    before.record(delta([(0, 1, 7)]))
    late_before.record(delta([(0, 1, 7)]), 1)

    assert contents(before.totals[START][KIND]) == expected([(0, 1, 5)], 10)
    assert contents(late_before.held[10].totals[KIND]) == expected([(0, 1, 5)], 10)


def test_folding_forgets_what_lies_before() -> None:
    live, _ = Live().record(delta([(0, 1, 5), (59, 1, 5), (60, 1, 6)]))

    folded = live.fold(START + 60)

    assert list(folded.totals) == [START + 60]
    assert contents(folded.totals[START + 60][KIND]) == expected([(60, 1, 6)], 10)
    assert folded.fold(START + 120).totals == {}


def test_late_totals_that_take_too_much_are_let_go_and_begin_under_a_new_writer() -> None:
    late, _ = Late().record(delta([(at, 1, 5) for at in range(0, 3_600, 10)]), 1)

    shrunk = late.shrink(40_000)
    after, rows = shrunk.record(delta([(0, 1, 5)]), 2)

    assert set(shrunk.held) == {60, 600, 3_600}
    assert shrunk.needs_writer
    assert {owner: {row.resolution for row in made} for owner, made in rows.items()} == {
        1: {60, 600, 3_600},
        2: {10},
    }
    assert contents(after.held[10].totals[KIND]) == expected([(0, 1, 5)], 10)
    assert after.writers == {1, 2}
    assert not after.needs_writer
    assert set(after.only({2}).held) == {10}


def test_counts_beyond_sixteen_bits_survive_the_cut_into_rows() -> None:
    block = delta([(0, 1, 5), (0, 2, 5)])[KIND]
    large = replace(block, bin_count=np.array([70_000, 200_000], dtype=np.int64))
    store = Store()

    store.write("live", list(rollup.rows(KIND, 10, large)))

    assert store.block(10).bin_count.tolist() == [70_000, 200_000]
    assert encode(large)[2][-1] == 4 * 6
