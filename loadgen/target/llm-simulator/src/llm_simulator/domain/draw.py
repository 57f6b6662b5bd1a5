"""Chance that is decided by a seed and by what it is about, never by when or in which process it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from statistics import NormalDist
from typing import TypeVar

_Choice = TypeVar("_Choice")
_NORMAL = NormalDist()


class Draws:
    """Draws of one seed: the same parts give the same value, other parts an independent one."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "big")

    def uniform(self, *parts: object) -> float:
        """Return a number over 0 and under 1."""
        text = "\x1f".join(map(str, parts)).encode()
        drawn = int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "big")
        # 52 bits and a half, so that neither end is reached.
        return ((drawn >> 12) + 0.5) / 2**52

    def normal(self, *parts: object) -> float:
        """Return a number of the standard normal distribution."""
        return _NORMAL.inv_cdf(self.uniform(*parts))

    def happens(self, probability: float, *parts: object) -> bool:
        """Tell whether something of this probability happens."""
        return self.uniform(*parts) < probability

    def choice(self, options: Sequence[_Choice], *parts: object) -> _Choice:
        """Return one of ``options``, which are not empty."""
        return options[int(self.uniform(*parts) * len(options))]

    def order(self, options: Sequence[_Choice], *parts: object) -> list[_Choice]:
        """Return ``options`` shuffled."""
        keys = [(self.uniform(*parts, index), index) for index in range(len(options))]
        return [options[index] for _, index in sorted(keys)]
