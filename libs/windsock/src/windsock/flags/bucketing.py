"""Which users get what of a split or a rollout: a hash of salt and user, by whole numbers only."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import accumulate
from typing import Protocol

from windsock.flags.definition import EVERYBODY


class Blake(Protocol):
    """A BLAKE2b that is not at its end."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def hash32(text: str) -> int:
    """Return the first 4 bytes of BLAKE2b, of a digest of that size, as a whole number."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")


def bucket(hashed: int, total: int) -> int:
    """Return which of ``total`` equal parts of the hashes ``hashed`` is in, from 0."""
    return (hashed * total) >> 32


def salted(salt: str) -> Callable[[], Blake]:
    """Return what gives a new BLAKE2b that has taken in ``salt`` and a colon.

    A copy of it is quicker than to put the two texts together and to begin anew.
    """
    return blake2b(f"{salt}:".encode(), digest_size=4).copy


def place(weights: Mapping[str, int], bucket: int) -> str:
    """Return the variant that has ``bucket``, counted from 0 in the written order."""
    ends = tuple(accumulate(weights.values()))
    return tuple(weights)[bisect_right(ends, bucket)]


def split_salt(key: str, salt: str | None) -> str:
    return salt or key


def rollout_salt(key: str, salt: str | None) -> str:
    """Return the salt of a rollout: without one of its own, one that no flag can have as its key."""
    return salt or f"{key}/rollout"


def is_in(hashed: int, share: int) -> bool:
    """Return whether ``hashed`` is within ``share``: then it is within every greater one, too."""
    return bucket(hashed, EVERYBODY) < share


def unit_text(value: object) -> str | None:
    """Return the text of an attribute that is hashed, the same in every language; or ``None``."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        # Python refuses to write longer ones: it takes time by the square of their length.
        return int.__repr__(value) if value.bit_length() <= 4096 else None
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else float.__repr__(value)
    return None
