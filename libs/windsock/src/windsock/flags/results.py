"""What evaluations say."""

from __future__ import annotations

from dataclasses import dataclass

# OpenFeature's words: https://openfeature.dev/specification/types
STATIC = "STATIC"
TARGETING_MATCH = "TARGETING_MATCH"
SPLIT = "SPLIT"
DISABLED = "DISABLED"
DEFAULT = "DEFAULT"
ERROR = "ERROR"

FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
INVALID_CONTEXT = "INVALID_CONTEXT"
TYPE_MISMATCH = "TYPE_MISMATCH"
PARSE_ERROR = "PARSE_ERROR"
PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
GENERAL = "GENERAL"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a flag gives and why, in OpenFeature's words.

    Without a ``variant``, ``value`` is the caller's default. ``reason`` is ``STATIC`` (the
    same for everybody), ``TARGETING_MATCH`` (by a rule, or the user is a target), ``SPLIT`` (by
    the user's share), ``DISABLED``, ``DEFAULT`` (no rule applied) or ``ERROR``, and then
    ``error_code`` and ``error_message`` say more.
    """

    flag_key: str
    variant: str | None
    value: object
    reason: str
    error_code: str | None = None
    error_message: str | None = None


def failed(flag_key: str, code: str, message: str, default: object = None) -> Evaluation:
    return Evaluation(flag_key, None, default, ERROR, code, message)
