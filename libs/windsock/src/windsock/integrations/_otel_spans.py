"""Spans to events, by the same rules by which the service reads spans that come over OTLP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from windsock.fields import MAX_KEYS, MAX_NAME, MAX_TEXT, MAX_USD
from windsock.integrations import _otel_names as names
from windsock.integrations._otel_attributes import (
    Sorted,
    Value,
    Values,
    clean,
    first,
    name_of,
    origin_of,
    read,
    resource_attributes,
    resource_flags,
)
from windsock.integrations._otel_tokens import span_usage

UNNAMED = "unknown"
_MAX_EVALUATIONS = 32
_MAX_STACK_BYTES = 4_000
_MAX_CONTEXT_BYTES = 8_192
# Without a scale of the sender's own, a score is on ours.
_DEFAULT_SCALE = 10.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a span. ``stack`` is the end of an error's stack trace."""

    kind: str
    fields: dict[str, object]
    attributes: dict[str, Value] = field(default_factory=dict)
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class SpanEvents:
    """The events of a span and what they share: when it ended, operation, names and flags."""

    ended: float
    operation: str
    origin: dict[str, str]
    flags: dict[str, str]
    events: list[Event]


class Source:
    """What the spans of one resource share."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.values = read(resource.attributes)
        self.origin = origin_of(self.values)
        self.attributes = resource_attributes(self.values)
        self.flags = resource_flags(self.values)


@dataclass(slots=True)
class _Notes:
    """What the events of a span say."""

    exception: Values = field(default_factory=dict)
    flags: list[Values] = field(default_factory=list)
    evaluations: list[Values] = field(default_factory=list)


def events_of(span: ReadableSpan, source: Source) -> SpanEvents:
    """Return the events that ``span`` becomes: a ``performance``, and what else it tells of."""
    values = read(span.attributes)
    notes = _notes(span)
    stored = Sorted(_trace(span) | source.attributes, calls=_is_inference(values))
    for name, value in source.flags.items():
        stored.add_flag(name.removeprefix(names.FLAG_PREFIX), value)
    stored.add(values)
    for flag in notes.flags:
        stored.add_flag(first(flag, names.FLAG_KEY), first(flag, names.FLAG_VARIANT))

    start, end = span.start_time or 0, span.end_time or 0
    run: dict[str, object] = {"duration_ms": (end - start) / 1e6, **_error(span, values, notes)}
    stack = _stack(notes) if "status" in run else None
    events = [Event("performance", run, stored.plain, stack)]
    if stored.genai is not None:
        call, noted = _call(span, values, source)
        while len(stored.genai) + len(noted) > MAX_KEYS:
            stored.genai.popitem()
        events.append(Event("llm_call", run | call, {**noted, **stored.genai}))
    events += _judgements(notes.evaluations, values, source)
    return SpanEvents(
        end / 1e9,
        name_of(values.get(names.OPERATION)) or clean(span.name, MAX_NAME) or UNNAMED,
        source.origin | origin_of(values),
        stored.flags,
        events,
    )


def _trace(span: ReadableSpan) -> dict[str, Value]:
    context = span.get_span_context()
    if context is None:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _notes(span: ReadableSpan) -> _Notes:
    notes = _Notes()
    for event in span.events:
        if event.name == "exception":
            notes.exception = read(event.attributes)
        elif event.name in names.FLAG_EVENTS:
            notes.flags.append(read(event.attributes))
        elif event.name == names.EVALUATION_EVENT and len(notes.evaluations) < _MAX_EVALUATIONS:
            notes.evaluations.append(read(event.attributes))
    return notes


def _is_inference(values: Values) -> bool:
    """Say whether the span is one call of a model, and not something around calls."""
    if names.INFERENCE_MARKS.isdisjoint(values):
        return False
    operation = values.get(names.OPERATION_KIND)
    if operation in names.INFERENCE_OPERATIONS:
        return True
    if operation in names.OTHER_OPERATIONS:
        return False
    kind = values.get(names.OPENINFERENCE_KIND)
    if kind is not None:
        return str(kind).lower() in names.INFERENCE_KINDS
    request_type = values.get(names.REQUEST_TYPE)
    if request_type in names.INFERENCE_OPERATIONS:
        return True
    if request_type in names.OTHER_OPERATIONS or not names.WRAPPER_MARKS.isdisjoint(values):
        return False
    modelled = first(values, names.RESPONSE_MODEL) or first(values, names.REQUEST_MODEL)
    counted = first(values, names.INPUT_TOKENS) or first(values, names.OUTPUT_TOKENS)
    if operation is not None:
        # An operation that the conventions do not know counts only with all that makes a call.
        return bool(modelled and counted)
    return bool(modelled or (counted and first(values, names.PROVIDER)))


def _error(span: ReadableSpan, values: Values, notes: _Notes) -> dict[str, object]:
    if span.status.status_code is not StatusCode.ERROR:
        return {}
    exception = notes.exception
    text = span.status.description or str(exception.get("exception.message") or "")
    return {
        "status": "error",
        "error_type": name_of(values.get("error.type") or exception.get("exception.type")),
        "error_message": clean(text, MAX_TEXT) or None,
    }


def _stack(notes: _Notes) -> str | None:
    stack = notes.exception.get("exception.stacktrace")
    if not isinstance(stack, str):
        return None
    # The end of a stack trace is nearest to the error.
    tail = stack[-_MAX_STACK_BYTES:].encode()[-_MAX_STACK_BYTES:].decode(errors="ignore")
    tail = tail.replace("\0", "")
    size = len(json.dumps({"stacktrace": tail}, ensure_ascii=False, separators=(",", ":")).encode())
    return tail if size <= _MAX_CONTEXT_BYTES else None


def _call(
    span: ReadableSpan, values: Values, source: Source
) -> tuple[dict[str, object], dict[str, Value]]:
    """Return the fields that an ``llm_call`` has of its own, and attributes that go before others."""
    given = name_of(first(values, names.PROVIDER))
    provider = names.PROVIDERS.get(given.lower(), given.lower()) if given else None
    requested = name_of(first(values, names.REQUEST_MODEL))
    answered = name_of(first(values, names.RESPONSE_MODEL))
    scope = span.instrumentation_scope
    usage, convention = span_usage(
        values,
        provider=provider,
        scope="" if scope is None else scope.name,
        stated=values.get(names.TOKEN_CONVENTION) or source.values.get(names.TOKEN_CONVENTION),
    )
    noted: dict[str, Value] = {"token_convention": convention}
    if answered and requested and answered != requested:
        noted["gen_ai.request.model"] = requested
    call: dict[str, object] = {
        "provider": provider,
        # The model that answered is the one that is charged.
        "model": answered or requested,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": _cost(first(values, names.COST)),
    }
    return call, noted


def _cost(given: Value | None) -> Decimal | None:
    """Return the sender's cost, exact to its digits; zero means that it knew no price."""
    if given is None or isinstance(given, bool):
        return None
    try:
        cost = Decimal(str(given)[:40])
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 < cost <= MAX_USD else None


def _judgements(evaluations: list[Values], values: Values, source: Source) -> Iterator[Event]:
    for evaluation in evaluations:
        score = _number(evaluation.get(names.EVALUATION_SCORE))
        if score is None:
            continue
        scale = first({**source.values, **values, **evaluation}, (names.EVALUATION_SCALE,))
        score = score * 10 / (_number(scale) or _DEFAULT_SCALE)
        if 0 <= score <= 10:
            evaluator = name_of(evaluation.get(names.EVALUATION_NAME))
            yield Event("quality", {"score": score, "evaluator": evaluator})


def _number(value: Value | None) -> float | None:
    """Return a number, also from text: attributes set through the environment are text."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except ValueError:
        return None
