"""Which variant of a flag a user gets: pure, and prepared once for each version of the flags."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from windsock.flags.definition import Flag, Split

# OpenFeature's words: https://openfeature.dev/specification/types
STATIC = "STATIC"
SPLIT = "SPLIT"
DISABLED = "DISABLED"
DEFAULT = "DEFAULT"
ERROR = "ERROR"

FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
TYPE_MISMATCH = "TYPE_MISMATCH"
PARSE_ERROR = "PARSE_ERROR"
PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
GENERAL = "GENERAL"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a flag gives and why, in OpenFeature's words.

    Without a ``variant``, ``value`` is the caller's default. ``reason`` is ``STATIC`` (the
    same for everybody), ``SPLIT`` (by the user's share), ``DISABLED``, ``DEFAULT`` (the flag
    leaves it to the caller) or ``ERROR``, and then ``error_code`` and ``error_message`` say more.
    """

    flag_key: str
    variant: str | None
    value: object
    reason: str
    error_code: str | None = None
    error_message: str | None = None


def failed(flag_key: str, code: str, message: str, default: object = None) -> Evaluation:
    return Evaluation(flag_key, None, default, ERROR, code, message)


class CompiledFlag:
    """A flag with its possible results made in advance."""

    __slots__ = ("_ends", "_fixed", "_prefix", "_shares", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self._fixed: Evaluation | None = None
        self._shares: tuple[Evaluation, ...] = ()
        if not flag.enabled:
            self._fixed = self._result(flag.off_variant, DISABLED)
        elif flag.fallthrough is None:
            self._fixed = self._result(None, DEFAULT)
        elif isinstance(flag.fallthrough, Split):
            weights = flag.fallthrough.weights
            self._shares = tuple(self._result(variant, SPLIT) for variant in weights)
            self._ends = tuple(accumulate(weights.values()))
            self._prefix = f"{flag.salt or flag.key}:"
        elif isinstance(flag.fallthrough, str):
            self._fixed = self._result(flag.fallthrough, STATIC)

    def evaluate(self, targeting_key: str | None) -> Evaluation:
        """Return what the user with ``targeting_key`` gets; only a split needs to know the user."""
        if self._fixed is not None:
            return self._fixed
        if targeting_key is None:
            return failed(
                self.flag.key, TARGETING_KEY_MISSING, "a split needs a user_id, given or ambient"
            )
        point = (hash32(self._prefix + targeting_key) * self._ends[-1]) >> 32
        return self._shares[bisect_right(self._ends, point)]

    def _result(self, variant: str | None, reason: str) -> Evaluation:
        value = None if variant is None else self.flag.variants[variant]
        return Evaluation(self.flag.key, variant, value, reason)


def hash32(text: str) -> int:
    """Return the first 4 bytes of BLAKE2b, of a digest of that size, as a whole number."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
