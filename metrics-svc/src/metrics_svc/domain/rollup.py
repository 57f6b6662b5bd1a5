"""Rollups: which bucket and row a total belongs to, and what one writer still holds in memory.

Times are Unix seconds. Inside a process a total's key is ``bucket << 32 | series``; a stored row holds the
series of one *part* (neighbouring series ids), so that a row stays small however many series there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from metrics_svc.domain.block import Block, Keys, Piece, Records, add, decode, encode, piece, record
from metrics_svc.domain.kind import KINDS

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


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What a stored row holds; ``complete`` tells whether its histogram was asked for, too."""

    bucket: int
    totals: bytes
    piece: Piece
    complete: bool


def stored_row(kind: str, bucket: int, totals: bytes, entries: bytes | None) -> StoredRow:
    """Read a row; ``entries`` is ``None`` where the histogram was not asked for."""
    records = len(totals) // record(len(KINDS[kind].counters)).itemsize
    return StoredRow(bucket, totals, piece(records, entries or b""), entries is not None)


def join(kind: str, found: Sequence[StoredRow]) -> Records:
    """Return the records of many stored rows of one kind."""
    return decode(
        len(KINDS[kind].counters),
        [row.bucket for row in found],
        [row.totals for row in found],
        [row.piece for row in found],
    )


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
    # By bucket: mostly the newest one changes, and the others need not be gone through with each flush.
    totals: Mapping[int, Totals] = field(default_factory=dict)

    def record(self, delta: Totals) -> tuple[Live, list[RollupRow]]:
        """Return the state after ``delta`` and the rows that changed, whole."""
        after = dict(self.totals)
        changed: list[RollupRow] = []
        for kind, block in delta.items():
            for bucket, part in _by_bucket(block):
                held = after.get(bucket, {})
                whole = add([held[kind], part]) if kind in held else part
                after[bucket] = {**held, kind: whole}
                changed.extend(rows(kind, FINEST, _touched(whole, part, FINEST)))
        return replace(self, totals=after), changed

    def fold(self, until: int) -> Live:
        """Return the state in which everything before ``until`` is folded and forgotten."""
        return Live(until, {b: totals for b, totals in self.totals.items() if b >= until})


@dataclass(frozen=True, slots=True)
class Held:
    """The totals that ``writer`` has written in rows of one resolution."""

    writer: int
    totals: Totals = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Late:
    """The totals of events that came after their minute was folded: written at every resolution at once.

    What was let go to save memory must not be written under its writer again, so a resolution that holds
    nothing begins under a new one. Coarse totals grow slower than fine ones, and so they stay longer.
    """

    held: Mapping[int, Held] = field(default_factory=dict)

    @property
    def writers(self) -> set[int]:
        """The writers whose rows are written again."""
        return {held.writer for held in self.held.values()}

    @property
    def needs_writer(self) -> bool:
        """Whether the next record needs a new writer."""
        return len(self.held) < len(RESOLUTIONS)

    def record(self, delta: Totals, new: int) -> tuple[Late, dict[int, list[RollupRow]]]:
        """Return the state after ``delta`` and the rows that changed, whole, by writer.

        ``new`` is a writer that has written nothing; it is not used unless ``needs_writer``.
        """
        after: dict[int, Held] = {}
        changed: dict[int, list[RollupRow]] = {}
        for resolution in RESOLUTIONS:
            held = self.held.get(resolution) or Held(new)
            totals = dict(held.totals)
            for kind, block in delta.items():
                coarse = coarsen(block, resolution)
                totals[kind] = add([totals[kind], coarse]) if kind in totals else coarse
                changed.setdefault(held.writer, []).extend(
                    rows(kind, resolution, _touched(totals[kind], coarse, resolution))
                )
            after[resolution] = Held(held.writer, totals)
        return Late(after), changed

    def shrink(self, limit: int) -> Late:
        """Return the state without the resolutions that take more than their share of ``limit`` bytes."""
        share = limit // len(RESOLUTIONS)
        return Late(
            {
                resolution: held
                for resolution, held in self.held.items()
                if sum(map(_weight, held.totals.values())) <= share
            }
        )

    def only(self, writers: Collection[int]) -> Late:
        """Return the state without what other writers than ``writers`` have written."""
        return Late({r: held for r, held in self.held.items() if held.writer in writers})


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


def _by_bucket(block: Block) -> Iterator[tuple[int, Block]]:
    found = buckets(block)
    different = np.unique(found).tolist()
    if len(different) == 1:
        yield different[0], block
        return
    for bucket in different:
        yield bucket, block.select(np.flatnonzero(found == bucket))


def _touched(whole: Block, delta: Block, resolution: int) -> Block:
    def groups(block: Block) -> Keys:
        return key(buckets(block), parts(block.keys & _SERIES_MASK, resolution))

    return whole.select(np.flatnonzero(np.isin(groups(whole), groups(delta))))


def _weight(block: Block) -> int:
    """Return about how many bytes a block takes in memory."""
    return len(block) * (8 * int(block.counters.shape[1]) + 48) + len(block.bin_row) * 18
