"""Bounds of what an event may carry, the same as the service's, applied without ever raising."""

import json
import math
import operator
import reprlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any

MAX_NAME = 200
MAX_TEXT = 2_000
MAX_KEYS = 32
MAX_CONTEXT_VALUE = 200
MAX_CONTEXT_BYTES = 8_000
MAX_TOKENS = 100_000_000
MAX_DURATION_MS = 7 * 86_400_000
MAX_USD = 10_000
MAX_SCORE = 10
LAYERS = ("l1", "l2", "prompt")
MISS_REASONS = ("cold", "expired", "evicted")
_FINEST_USD = Decimal("1E-12")
_INT64 = 1 << 63

Scalar = str | int | float | bool | None
FieldValue = Scalar | Decimal | dict[str, Scalar]


class InvalidFieldError(ValueError):
    """An argument that no event can be made of. It is counted, and never leaves the SDK."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field} {detail}")


class Cleaner:
    """Makes values fit and counts in ``truncated`` how many had to be shortened or left out."""

    __slots__ = ("truncated",)

    def __init__(self) -> None:
        self.truncated = 0

    def text(self, value: object, limit: int) -> str:
        """Return ``value`` as valid Unicode of at most ``limit`` characters."""
        text = value if type(value) is str else describe(value)
        if len(text) > limit:
            self.truncated += 1
            text = text[: limit - 1] + "…"
        if text.isascii() and "\x00" not in text:
            return text
        # PostgreSQL stores no NUL, and a lone surrogate is no UTF-8: either would spoil a batch.
        return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")

    def name(self, value: object) -> str | None:
        return None if value is None else self.text(value, MAX_NAME) or None

    def scalar(self, value: object, limit: int = MAX_TEXT) -> Scalar:
        """Return ``value`` as one of JSON's plain values; what is none becomes its text."""
        kind = type(value)
        if kind is str:
            return self.text(value, limit)
        if value is None or kind is bool:
            return value  # type: ignore[return-value]  # mypy does not narrow by ``kind``.
        if isinstance(value, int) and -_INT64 <= value < _INT64:
            return int(value)
        if isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            self.truncated += 1
            return None
        return self.text(value, limit)

    def scalars(self, values: object, limit: int = MAX_TEXT) -> dict[str, Scalar]:
        return {key: self.scalar(value, limit) for key, value in self.entries(values, MAX_KEYS)}

    def flags(self, values: object) -> dict[str, str]:
        """Return flag keys and variants; a boolean variant is spelled as JSON spells it."""
        flags = {}
        for key, value in self.entries(values, MAX_KEYS):
            text = str(value).lower() if isinstance(value, bool) else self.name(value)
            if text:
                flags[key] = text
        return flags

    def entries(self, values: object, limit: int) -> list[tuple[str, object]]:
        """Return the first ``limit`` entries of a mapping, whatever kind of mapping it is."""
        try:
            if isinstance(values, Mapping):
                # ``list`` copies a dict in one step, so that another thread may change it.
                first = list(islice(values.items(), limit))
                self.truncated += len(values) > len(first)
                named = [(self.name(key), value) for key, value in first]
                return [(name, value) for name, value in named if name]
        # A foreign mapping may raise anything; the event is worth more than its metadata.
        except Exception:  # noqa: BLE001
            self.truncated += 1
            return []
        self.truncated += 1
        return []


def describe(value: object) -> str:
    """Return a text for any object, without raising and without a long ``repr``."""
    try:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, str):
            return str.__getitem__(value, slice(None))
        if isinstance(
            value, bytes | bytearray | memoryview | list | tuple | set | frozenset | dict
        ):
            return reprlib.repr(value)
        return str.__getitem__(str(value), slice(None))
    # Any object may come here, and its ``__str__`` may raise whatever it likes.
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


def _real(value: object) -> float | Decimal:
    if isinstance(value, bool | str | bytes):
        raise TypeError("must be a number")
    if isinstance(value, Decimal):
        return value
    return float(value)  # type: ignore[arg-type]  # What is no number raises TypeError.


def _amount(high: float, *, exact: bool = False) -> Callable[[Cleaner, object], FieldValue]:
    """Return a check for a number from 0 to ``high``; ``exact`` keeps a Decimal's own digits."""

    def check(_: Cleaner, value: object) -> FieldValue:
        number = _real(value)
        if not 0 <= number <= high:
            raise ValueError(f"must be 0 to {high}")
        if not (exact and isinstance(number, Decimal)):
            return float(number)
        return number.quantize(_FINEST_USD) if number else Decimal(0)

    return check


def _count(_: Cleaner, value: object) -> int:
    if isinstance(value, bool):
        raise TypeError("must be a whole number")
    # A float counts if it is whole; ``index`` refuses what is no whole number.
    whole: Any = int(value) if isinstance(value, float) and value.is_integer() else value
    number = operator.index(whole)
    if not 0 <= number <= MAX_TOKENS:
        raise ValueError(f"must be 0 to {MAX_TOKENS}")
    return int(number)


def _switch(_: Cleaner, value: object) -> bool:
    if value is True or value is False:
        return value
    if type(value).__name__ in {"bool", "bool_"}:  # numpy's, without importing numpy.
        return bool(value)
    raise TypeError("must be true or false")


def _one_of(*choices: str) -> Callable[[Cleaner, object], str]:
    def check(clean: Cleaner, value: object) -> str:
        word = clean.text(value, MAX_NAME).lower()
        if word not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return word

    return check


def _name(clean: Cleaner, value: object) -> str:
    name = clean.name(value)
    if name is None:
        raise ValueError("is empty")
    return name


def _text(clean: Cleaner, value: object) -> str:
    return clean.text(value, MAX_TEXT)


def _error_context(clean: Cleaner, value: object) -> dict[str, Scalar]:
    context: dict[str, Scalar] = {}
    size = 0
    for key, scalar in clean.scalars(value, MAX_CONTEXT_VALUE).items():
        size += len(json.dumps([key, scalar]))
        if size > MAX_CONTEXT_BYTES:
            clean.truncated += 1
            break
        context[key] = scalar
    return context


_MILLISECONDS = _amount(MAX_DURATION_MS)
_USD = _amount(MAX_USD, exact=True)
_CHECKS: dict[str, Callable[[Cleaner, Any], FieldValue]] = {
    "duration_ms": _MILLISECONDS,
    "status": _one_of("ok", "error"),
    "error_type": _name,
    "error_message": _text,
    "error_context": _error_context,
    "provider": _name,
    "model": _name,
    "input_tokens": _count,
    "output_tokens": _count,
    "cached_input_tokens": _count,
    "cache_write_tokens": _count,
    "reasoning_tokens": _count,
    "cache_hit": _switch,
    "cost_usd": _USD,
    "score": _amount(MAX_SCORE),
    "refined": _switch,
    "accepted_first_pass": _switch,
    "evaluator": _name,
    "layer": _one_of(*LAYERS),
    "hit": _switch,
    "miss_reason": _one_of(*MISS_REASONS),
    "saved_ms": _MILLISECONDS,
    "saved_usd": _USD,
    "flag_key": _name,
    "variant": _name,
    "targeting_key": _name,
}


def checked(kind: str, values: Mapping[str, object], clean: Cleaner) -> dict[str, FieldValue]:
    """Return the fields of an event of ``kind``, without those that are ``None``.

    Raises ``InvalidFieldError`` for the first value that the service would refuse.
    """
    fields: dict[str, FieldValue] = {"type": kind}
    for name, value in values.items():
        if value is None:
            continue
        try:
            fields[name] = _CHECKS[name](clean, value)
        except InvalidFieldError:
            raise
        # ``__index__`` and ``__float__`` of a foreign type may raise anything.
        except Exception as error:  # noqa: BLE001
            raise InvalidFieldError(f"{kind}.{name}", str(error)[:MAX_NAME]) from None
    return fields
