"""Rollups: which bucket and row a total belongs to, and what one writer still holds in memory.

Times are Unix seconds. Inside a process a total's key is ``bucket << 32 | series``; a stored row holds the
series of one *part* (neighbouring series ids), so that a row stays small however many series there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from metrics_svc.domain.block import Block, Keys, add, encode

RESOLUTIONS = (10, 60, 600, 3600)
FINEST = RESOLUTIONS[0]
COARSER = dict(pairwise(RESOLUTIONS))
FOREVER = 2**63 - 1

_SERIES_BITS = 32
_SERIES_MASK = (1 << _SERIES_BITS) - 1
# The finest rows are rewritten with every flush and hold 64 series; the others are written about once.
_PART_BITS = {10: 6, 60: 9, 600: 9, 3600: 9}

Totals = Mapping[str, Block]


def floor(at: int, resolution: int) -> int:
    """Return the start of the bucket that holds ``at``."""
    return at - at % resolution


def key(bucket: Keys, series: Keys) -> Keys:
    """Return the keys of totals of ``series`` in ``bucket``."""
    return (bucket << _SERIES_BITS) | series


def buckets(block: Block) -> Keys:
    """Return the bucket of each key."""
    return block.keys >> _SERIES_BITS


def coarsen(block: Block, resolution: int) -> Block:
    """Return the totals by the coarser buckets of ``resolution``."""
    bucket = buckets(block)
    return block.with_keys(key(bucket - bucket % resolution, block.keys & _SERIES_MASK))


@dataclass(frozen=True, slots=True)
class RollupRow:
    """One row as stored, without its writer: totals and histogram of the series of one part in one bucket."""

    kind: str
    resolution: int
    bucket: int
    part: int
    totals: bytes
    entries: bytes


def parts(series: Keys, resolution: int) -> Keys:
    """Return the part that each series belongs to in rows of ``resolution``."""
    return series >> _PART_BITS[resolution]


def rows(kind: str, resolution: int, block: Block) -> Iterator[RollupRow]:
    """Cut a block into its rows. Keys ascend, so each row is a slice of the encoded block."""
    if not len(block):
        return
    series = block.keys & _SERIES_MASK
    group = key(buckets(block), parts(series, resolution))
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    totals, entries, entry_starts = encode(replace(block, keys=series))
    size = len(totals) // len(block)
    ends = [*starts[1:].tolist(), len(block)]
    for start, end, place in zip(starts.tolist(), ends, group[starts].tolist(), strict=True):
        yield RollupRow(
            kind,
            resolution,
            place >> _SERIES_BITS,
            place & _SERIES_MASK,
            totals[start * size : end * size],
            entries[entry_starts[start] : entry_starts[end]],
        )


@dataclass(frozen=True, slots=True)
class Live:
    """The totals that a writer's finest rows hold since ``folded``: rows are written whole from here.

    Buckets before ``folded`` are in coarser rows already and closed to this writer.
    """

    folded: int = 0
    totals: Totals = field(default_factory=dict)

    def record(self, delta: Totals) -> tuple[Live, list[RollupRow]]:
        """Return the state after ``delta`` and the rows that changed, whole."""
        after = dict(self.totals)
        changed: list[RollupRow] = []
        for kind, block in delta.items():
            after[kind] = add([after[kind], block]) if kind in after else block
            changed.extend(rows(kind, FINEST, _touched(after[kind], block, FINEST)))
        return replace(self, totals=after), changed

    def fold(self, until: int) -> Live:
        """Return the state in which everything before ``until`` is folded and forgotten."""
        kept = {
            kind: block.select(np.flatnonzero(buckets(block) >= until))
            for kind, block in self.totals.items()
        }
        return Live(until, {kind: block for kind, block in kept.items() if len(block)})


@dataclass(frozen=True, slots=True)
class Slot:
    """The totals that ``writer`` has written for one bucket of one resolution."""

    writer: int
    totals: Totals
    weight: int


@dataclass(frozen=True, slots=True)
class Late:
    """The totals of events that came after their minute was folded: written at every resolution at once.

    Slots are in order of their last use. One that was dropped to save memory must not be written under its
    writer again, so after a drop ``writer`` is ``None`` until a new one is given.
    """

    slots: Mapping[tuple[int, int], Slot] = field(default_factory=dict)
    writer: int | None = None

    def record(self, delta: Totals, writer: int) -> tuple[Late, dict[int, list[RollupRow]]]:
        """Return the state after ``delta`` and the rows that changed, whole, by writer.

        New slots go to ``writer``, which has written nothing or is this state's own.
        """
        slots = dict(self.slots)
        changed: dict[int, list[RollupRow]] = {}
        for resolution in RESOLUTIONS:
            for kind, block in delta.items():
                for bucket, part in _by_bucket(coarsen(block, resolution)):
                    place = (resolution, bucket)
                    held = slots.pop(place, None) or Slot(writer, {}, 0)
                    whole = add([held.totals[kind], part]) if kind in held.totals else part
                    totals = {**held.totals, kind: whole}
                    slots[place] = Slot(held.writer, totals, sum(map(_weight, totals.values())))
                    changed.setdefault(held.writer, []).extend(
                        rows(kind, resolution, _touched(whole, part, resolution))
                    )
        return Late(slots, writer), changed

    def shrink(self, limit: int) -> Late:
        """Return the state without the slots used longest ago, if all together are over ``limit`` bytes."""
        size = sum(slot.weight for slot in self.slots.values())
        if size <= limit:
            return self
        kept = dict(self.slots)
        for place, slot in self.slots.items():
            if size <= limit // 2:
                break
            del kept[place]
            size -= slot.weight
        return Late(kept)


def _by_bucket(block: Block) -> Iterator[tuple[int, Block]]:
    found = buckets(block)
    for bucket in np.unique(found).tolist():
        yield bucket, block.select(np.flatnonzero(found == bucket))


def split(delta: Totals, folded: int) -> tuple[Totals, Totals]:
    """Return (live, late): what lies in buckets from ``folded`` on, and what lies before."""
    live: dict[str, Block] = {}
    late: dict[str, Block] = {}
    for kind, block in delta.items():
        is_late = buckets(block) < folded
        if not is_late.any():
            live[kind] = block
            continue
        late[kind] = block.select(np.flatnonzero(is_late))
        if not is_late.all():
            live[kind] = block.select(np.flatnonzero(~is_late))
    return live, late


def _touched(whole: Block, delta: Block, resolution: int) -> Block:
    def groups(block: Block) -> Keys:
        return key(buckets(block), parts(block.keys & _SERIES_MASK, resolution))

    return whole.select(np.flatnonzero(np.isin(groups(whole), groups(delta))))


def _weight(block: Block) -> int:
    """Return about how many bytes a block takes in memory."""
    return len(block) * (8 * int(block.counters.shape[1]) + 48) + len(block.bin_row) * 18
