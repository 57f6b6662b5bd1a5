"""Totals that add up: what a flush, a stored rollup row, a fold and an answer are all made of.

A block holds, for each of its keys, integer counters, the moments of one measured value and that value's
histogram. Adding blocks is associative and commutative with the empty block as zero, which is why rows may
be written by many processes and added up in any order (a grow-only counter, Shapiro et al. 2011, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics_svc.domain.histogram import codes

Keys = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MAX_ENTRY = 65_535
_ENTRY = np.dtype([("code", "<i2"), ("count", "<u2")])


@dataclass(frozen=True, slots=True)
class Block:
    """Totals by ascending, distinct ``keys``.

    ``counters`` is (keys, counters of the kind); ``moments`` is (keys, [number of values, sum, sum of squares]);
    ``low`` and ``high`` are inf and -inf where there is no value. The histogram is three arrays of equal length:
    row into ``keys``, bucket code, count; ordered by row, then code.
    """

    keys: Keys
    counters: Ints
    moments: Floats
    low: Floats
    high: Floats
    bin_row: Ints
    bin_code: npt.NDArray[np.int16]
    bin_count: Ints

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: npt.NDArray[np.intp]) -> Block:
        """Return the block of the ``rows`` (ascending positions) alone."""
        place = np.full(len(self.keys), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        moved = place[self.bin_row]
        kept = moved >= 0
        return Block(
            self.keys[rows],
            self.counters[rows],
            self.moments[rows],
            self.low[rows],
            self.high[rows],
            moved[kept],
            self.bin_code[kept],
            self.bin_count[kept],
        )

    def with_keys(self, keys: Keys) -> Block:
        """Return the totals under other keys, which may repeat and need no order."""
        return _reduce(
            keys,
            self.counters,
            self.moments,
            self.low,
            self.high,
            (self.bin_row, self.bin_code, self.bin_count),
        )


def empty(counters: int) -> Block:
    """Return the zero of addition for a kind with so many ``counters``."""
    return Block(
        np.empty(0, np.int64),
        np.empty((0, counters), np.int64),
        np.empty((0, 3)),
        np.empty(0),
        np.empty(0),
        np.empty(0, np.int64),
        np.empty(0, np.int16),
        np.empty(0, np.int64),
    )


def observed(counters: Ints, values: Floats) -> Block:
    """Return single events under their positions: one row of counters and one value each; nan is no value."""
    known = ~np.isnan(values)
    plain = np.where(known, values, 0.0)
    rows = np.flatnonzero(known)
    return Block(
        np.arange(len(values), dtype=np.int64),
        counters,
        np.stack([known.astype(np.float64), plain, plain * plain], axis=1),
        np.where(known, values, np.inf),
        np.where(known, values, -np.inf),
        rows,
        codes(values[rows]),
        np.ones(len(rows), np.int64),
    )


def add(blocks: Sequence[Block]) -> Block:
    """Return the sum of one or more blocks of the same kind."""
    if len(blocks) == 1:
        return blocks[0]
    starts = np.cumsum([0, *(len(block) for block in blocks[:-1])])
    bins = (
        np.concatenate([b.bin_row + start for b, start in zip(blocks, starts, strict=True)]),
        np.concatenate([block.bin_code for block in blocks]),
        np.concatenate([block.bin_count for block in blocks]),
    )
    return _reduce(
        np.concatenate([block.keys for block in blocks]),
        np.concatenate([block.counters for block in blocks]),
        np.concatenate([block.moments for block in blocks]),
        np.concatenate([block.low for block in blocks]),
        np.concatenate([block.high for block in blocks]),
        bins,
    )


def _reduce(
    keys: Keys,
    counters: Ints,
    moments: Floats,
    low: Floats,
    high: Floats,
    bins: tuple[Ints, npt.NDArray[np.int16], Ints],
) -> Block:
    if not len(keys):
        return empty(counters.shape[1])
    order, ordered, first = _runs(keys)
    starts = np.flatnonzero(first)
    row_of = np.empty(len(keys), dtype=np.int64)
    row_of[order] = np.cumsum(first) - 1
    return Block(
        ordered[starts],
        np.add.reduceat(counters[order], starts),
        np.add.reduceat(moments[order], starts),
        np.minimum.reduceat(low[order], starts),
        np.maximum.reduceat(high[order], starts),
        *_reduce_bins(row_of[bins[0]], bins[1], bins[2]),
    )


def _runs(keys: Keys) -> tuple[npt.NDArray[np.intp], Keys, npt.NDArray[np.bool_]]:
    """Return (the order that sorts ``keys``, the sorted keys, where a new key starts)."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.empty(len(keys), dtype=bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return order, ordered, first


def _reduce_bins(
    row: Ints, code: npt.NDArray[np.int16], count: Ints
) -> tuple[Ints, npt.NDArray[np.int16], Ints]:
    if not len(row):
        return row, code, count
    both = (row << 16) | (code.astype(np.int64) + 32_768)
    order, ordered, first = _runs(both)
    starts = np.flatnonzero(first)
    kept = ordered[starts]
    summed = np.add.reduceat(count[order], starts)
    return kept >> 16, ((kept & 0xFFFF) - 32_768).astype(np.int16), summed


def record(counters: int) -> np.dtype[np.void]:
    """Return the stored form of one key's totals; ``bins`` is how many histogram entries belong to it."""
    return np.dtype(
        [
            ("series", "<i4"),
            ("bins", "<u4"),
            ("counters", "<i8", (counters,)),
            ("moments", "<f8", (3,)),
            ("low", "<f8"),
            ("high", "<f8"),
        ]
    )


def encode(block: Block) -> tuple[bytes, bytes, list[int]]:
    """Return (totals, histogram entries, offset of each key's entries and the end) of a block by series id.

    Both byte strings are plain concatenations of fixed-size records, so that joining the bytes of many rows is already
    a block that merely has not been added up. A count beyond 16 bits becomes several entries for the same reason.
    """
    row, code, count = _split_large(block)
    totals = np.empty(len(block), dtype=record(block.counters.shape[1]))
    totals["series"] = block.keys
    totals["bins"] = np.bincount(row, minlength=len(block))
    totals["counters"] = block.counters
    totals["moments"] = block.moments
    totals["low"] = block.low
    totals["high"] = block.high
    entries = np.empty(len(row), dtype=_ENTRY)
    entries["code"] = code
    entries["count"] = count
    ends = np.cumsum(totals["bins"].astype(np.int64)) * _ENTRY.itemsize
    return totals.tobytes(), entries.tobytes(), [0, *ends.tolist()]


def _split_large(block: Block) -> tuple[Ints, npt.NDArray[np.int16], Ints]:
    pieces = -(-block.bin_count // _MAX_ENTRY)
    if not len(pieces) or pieces.max() == 1:
        return block.bin_row, block.bin_code, block.bin_count
    last = np.cumsum(pieces) - 1
    count = np.full(int(pieces.sum()), _MAX_ENTRY, dtype=np.int64)
    count[last] = block.bin_count - (pieces - 1) * _MAX_ENTRY
    return np.repeat(block.bin_row, pieces), np.repeat(block.bin_code, pieces), count


@dataclass(frozen=True, slots=True)
class Piece:
    """The histogram entries of one stored row, and the least and greatest code among them."""

    records: int
    entries: npt.NDArray[np.void]
    codes: tuple[int, int]


def piece(records: int, entries: bytes) -> Piece:
    """Read the entries of a row of so many records."""
    found = np.frombuffer(entries, dtype=_ENTRY)
    code = found["code"]
    return Piece(records, found, (int(code.min()), int(code.max())) if len(code) else (0, 0))


@dataclass(frozen=True, slots=True)
class Records:
    """Stored records as read, not yet added up: the ``bucket`` and ``totals`` of each, and their histograms.

    ``pieces`` are the histograms of the records, in order; their entries are empty where histograms were not
    read. They stay in pieces, because joining megabytes costs more than adding them up.
    """

    bucket: Keys
    totals: npt.NDArray[np.void]
    pieces: Sequence[Piece]

    @property
    def series(self) -> Keys:
        """The series of each record."""
        found: Keys = self.totals["series"].astype(np.int64)
        return found

    def joined(self) -> npt.NDArray[np.void]:
        """Return all histogram entries in one array."""
        parts = [piece.entries for piece in self.pieces]
        return np.concatenate(parts) if parts else np.empty(0, dtype=_ENTRY)

    def block(self, keys: Keys) -> Block:
        """Return the sum of the records under ``keys``, one for each record."""
        t, e = self.totals, self.joined()
        row = np.repeat(np.arange(len(t)), t["bins"])
        bins = (row, np.ascontiguousarray(e["code"]), e["count"].astype(np.int64))
        return _reduce(keys, t["counters"], t["moments"], t["low"], t["high"], bins)


def decode(
    counters: int, buckets: Sequence[int], totals: Sequence[bytes], pieces: Sequence[Piece]
) -> Records:
    """Return the records of many stored rows at once."""
    found = np.frombuffer(b"".join(totals), dtype=record(counters))
    bucket = np.repeat(np.array(buckets, dtype=np.int64), [piece.records for piece in pieces])
    return Records(bucket, found, pieces)
