"""The body of ``POST /api/metrics/events``: the good events of a batch, and where the others are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from metrics_svc.domain.event import (
    MAX_CONTEXT_BYTES,
    MAX_USD,
    AnyEvent,
    Cache,
    LlmCall,
    Performance,
)
from windsock_kit.decoding import located, reading_json
from windsock_kit.errors import TooLargeError

TYPES = ("performance", "llm_call", "quality", "cache", "exposure", "probe")


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    batch_id: UUID
    events: list[AnyEvent]


class _Loose(msgspec.Struct, forbid_unknown_fields=True):
    batch_id: UUID
    events: list[msgspec.Raw]


class Rejected(msgspec.Struct, frozen=True):
    """Why the event at ``index`` was not stored; ``path`` is the field, empty for the event as a whole."""

    index: int
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as received: the events to store, stamped, and the rejected ones."""

    batch_id: UUID
    events: list[AnyEvent]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may hold, and how far an event may lie from now."""

    events: int
    age: timedelta
    ahead: timedelta


_strict = msgspec.json.Decoder(_Envelope)
_loose = msgspec.json.Decoder(_Loose)
_one = msgspec.json.Decoder(AnyEvent)
_NUL = b"\\u0000"
# How many values a body may have for each event that a batch may. Decoding costs some hundred bytes for every
# little value, so millions of them must be refused before that.
_VALUES_PER_EVENT = 200


def parse_batch(body: bytes, limits: Limits, *, received: datetime) -> Batch:
    """Decode a body. One bad event does not cost the others; a bad envelope is refused whole.

    Events without a time get ``received``.
    """
    values = limits.events * _VALUES_PER_EVENT
    if len(body) > values and body.count(b",") > values:
        raise TooLargeError(
            f"a batch holds at most {limits.events} events, and its body {values} values",
            path="events",
            extra={"limit": "max_events_per_batch"},
        )
    with reading_json(body):
        try:
            envelope = _strict.decode(body)
        except msgspec.ValidationError:
            return _parse_singly(body, limits, received)
        _check_size(envelope.events, limits)
        found = enumerate(envelope.events)
        return _checked(envelope.batch_id, found, [], limits, received, has_nul=_NUL in body)


def _parse_singly(body: bytes, limits: Limits, received: datetime) -> Batch:
    envelope = _loose.decode(body)
    _check_size(envelope.events, limits)
    good: list[tuple[int, AnyEvent]] = []
    rejected: list[Rejected] = []
    for index, raw in enumerate(envelope.events):
        try:
            good.append((index, _one.decode(raw)))
        except msgspec.ValidationError as error:
            detail, path = _located(error)
            rejected.append(Rejected(index, path, detail))
    return _checked(envelope.batch_id, good, rejected, limits, received, has_nul=_NUL in body)


def _check_size(events: Sequence[object], limits: Limits) -> None:
    if len(events) > limits.events:
        raise TooLargeError(
            f"a batch holds at most {limits.events} events, this one has {len(events)}",
            path="events",
            extra={"limit": "max_events_per_batch"},
        )


def _checked(
    batch_id: UUID,
    found: Iterable[tuple[int, AnyEvent]],
    rejected: list[Rejected],
    limits: Limits,
    received: datetime,
    *,
    has_nul: bool,
) -> Batch:
    """Stamp the events and sort out those that break a rule which the decoder cannot check."""
    oldest, newest = received - limits.age, received + limits.ahead
    good: list[AnyEvent] = []
    for index, event in found:
        if event.timestamp is None:
            event.timestamp = received
        if not oldest <= event.timestamp <= newest:
            fault: tuple[str, str] | None = ("timestamp", _distance(limits))
        else:
            fault = _fault(event)
            if has_nul and fault is None:
                fault = _text_fault("", msgspec.structs.asdict(event))
        if fault is None:
            good.append(event)
        else:
            rejected.append(Rejected(index, *fault))
    return Batch(batch_id, good, sorted(rejected, key=lambda r: r.index))


def _distance(limits: Limits) -> str:
    back, ahead = limits.age.total_seconds() / 86_400, limits.ahead.total_seconds() / 60
    return f"Expected a time at most {back:g} days back and {ahead:g} minutes ahead"


def _fault(event: AnyEvent) -> tuple[str, str] | None:
    """Return (path, detail) of a bound that the decoder cannot check and the event breaks."""
    if isinstance(event, Performance):
        return None if event.error_context is None else _context_fault(event.error_context)
    if isinstance(event, LlmCall):
        return None if event.cost_usd is None else _money_fault("cost_usd", event.cost_usd)
    if isinstance(event, Cache):
        return None if event.saved_usd is None else _money_fault("saved_usd", event.saved_usd)
    return None


def _context_fault(context: Mapping[str, Any]) -> tuple[str, str] | None:
    try:
        size = len(msgspec.json.encode(context))
    except RecursionError:
        return "error_context", "nested too deeply"
    if size > MAX_CONTEXT_BYTES:
        return "error_context", f"Expected at most {MAX_CONTEXT_BYTES} bytes of JSON, got {size}"
    return None


def _money_fault(path: str, value: Decimal) -> tuple[str, str] | None:
    if value.is_finite() and 0 <= value <= MAX_USD:
        return None
    return path, f"Expected a number from 0 to {MAX_USD}"


def _text_fault(path: str, value: Any) -> tuple[str, str] | None:
    """Find the character NUL, which PostgreSQL cannot hold."""
    if isinstance(value, str):
        return (path, "the character U+0000 is not allowed") if "\0" in value else None
    if isinstance(value, dict):
        children = [
            (key, child, f"{path}.{key}" if path else str(key)) for key, child in value.items()
        ]
    elif isinstance(value, list):
        children = [("", child, f"{path}[{index}]") for index, child in enumerate(value)]
    else:
        return None
    for key, child, inner in children:
        fault = _text_fault(path, key) or _text_fault(inner.replace("\0", "\\0"), child)
        if fault is not None:
            return fault
    return None


def _located(error: msgspec.ValidationError) -> tuple[str, str]:
    detail, path = located(error)
    if path == "type" and detail.startswith("Invalid value"):
        detail = f"{detail}; allowed: {', '.join(TYPES)}"
    return detail, path
