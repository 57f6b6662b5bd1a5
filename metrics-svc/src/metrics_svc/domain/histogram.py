"""Base-2 exponential buckets of fixed scale (OpenTelemetry data model, "ExponentialHistogram").

Bucket ``i`` of scale ``s`` holds the values in ``(base**i, base**(i + 1)]`` with ``base = 2**(2**-s)``.
A bucket is stored as one 16-bit code that sorts as its values do: 0 for zero, ``OFFSET + i`` for positive
and ``-(OFFSET + i)`` for negative values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SCALE = 6
BASE = 2.0 ** (2.0**-SCALE)
# The harmonic midpoint of a bucket is off by the same share at both of its ends.
RELATIVE_ERROR = (BASE - 1) / (BASE + 1)
OFFSET = 16_384
_LIMIT = OFFSET - 1

Codes = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def codes(values: Floats) -> Codes:
    """Return the bucket code of each value. Magnitudes outside 2**±255 fall into the outermost bucket."""
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        index = np.ceil(np.log2(size) * 2**SCALE) - 1
    index = np.clip(index, -_LIMIT, _LIMIT) + OFFSET
    return np.where(size == 0, 0, np.copysign(index, values)).astype(np.int16)


def representatives(code: Codes) -> Floats:
    """Return the value that stands for each bucket: at most ``RELATIVE_ERROR`` from any value in it."""
    wide = code.astype(np.int64)
    upper = np.exp2((np.abs(wide) - OFFSET + 1) / 2**SCALE)
    middle = 2 * upper / (1 + BASE)
    return np.where(wide == 0, 0.0, np.copysign(middle, wide))


def quantiles(sizes: Counts, code: Codes, count: Counts, wanted: Sequence[float]) -> list[Floats]:
    """Return each wanted quantile (0 to 1) of several histograms, nan for an empty one.

    ``code`` and ``count`` are the entries of all of them, one histogram after the other and codes ascending in
    each; ``sizes`` is how many values each one holds. As numpy's default: linear between the two order statistics
    around ``q * (n - 1)``. Each of the two is known within ``RELATIVE_ERROR``, and so is what lies between them
    when they have the same sign.
    """
    filled = np.flatnonzero(sizes)
    ends = np.cumsum(count)
    base = np.cumsum(sizes)[filled] - sizes[filled]
    answers: list[Floats] = []
    for q in wanted:
        rank = q * (sizes[filled] - 1)
        below = np.floor(rank)
        low, high = (
            representatives(code[np.searchsorted(ends, base + at, side="right")])
            for at in (below, np.ceil(rank))
        )
        found = np.full(len(sizes), np.nan)
        found[filled] = low + (high - low) * (rank - below)
        answers.append(found)
    return answers
