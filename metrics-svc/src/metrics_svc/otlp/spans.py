"""Spans to events: each becomes a ``performance``, a call of a model an ``llm_call`` too, a judgement a ``quality``.

An event's timestamp is the END of its span, since only then its numbers are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from metrics_svc.domain.event import (
    MAX_ATTRIBUTES,
    MAX_CONTEXT_BYTES,
    MAX_DURATION_MS,
    MAX_NAME,
    MAX_TEXT,
    MAX_USD,
    LlmCall,
    Performance,
    Quality,
    StoredEvent,
)
from metrics_svc.otlp import names
from metrics_svc.otlp.attributes import (
    Origin,
    Scalar,
    Sorted,
    Values,
    clean,
    first,
    moment,
    name_of,
    nanoseconds,
    read,
    resource_attributes,
    resource_flags,
    sentence,
)
from metrics_svc.otlp.tokens import usage_of

UNNAMED = "unknown"
MAX_EVALUATIONS = 32
MAX_STACK_BYTES = 4_000
# The events of a part: few enough that making them holds nothing else up for long.
PART = 1_000
# Without a scale of the sender's own, a score is on ours.
DEFAULT_SCALE = 10.0

_NO_ID = (b"", bytes(8), bytes(16))
_MAX_DURATION_NS = MAX_DURATION_MS * 1_000_000
_ERROR = Status.STATUS_CODE_ERROR


@dataclass(frozen=True, slots=True)
class Admitted:
    """A span's events. ``key`` (trace id and span id, 24 bytes) is the same when the span is sent again."""

    key: bytes
    events: tuple[StoredEvent, ...]


@dataclass(slots=True)
class SpanExport:
    """What a part of a request brought. A span that stands twice in it is admitted once and refused never."""

    admitted: list[Admitted] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        return self.refusals.total()

    def note(self, part: SpanExport) -> None:
        """Add what was refused and corrected in ``part``."""
        self.refusals.update(part.refusals)
        self.doubts.update(part.doubts)

    @property
    def message(self) -> str:
        """What was refused and what was corrected, in English; empty where nothing was."""
        parts = (
            sentence(self.refusals, f"{self.rejected} spans refused"),
            sentence(self.doubts, "stored with corrections"),
        )
        return ". ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the spans of one resource and instrumentation share."""

    resource: Values
    origin: Origin
    attributes: dict[str, Scalar]
    flags: dict[str, Scalar]
    scope: str


@dataclass(slots=True)
class _Notes:
    """What the span events say."""

    exception: Values = field(default_factory=dict)
    flags: list[Values] = field(default_factory=list)
    evaluations: list[Values] = field(default_factory=list)


def map_spans(
    request: ExportTraceServiceRequest, *, oldest: datetime, newest: datetime, size: int = PART
) -> Iterator[SpanExport]:
    """Yield the events of all spans that ended between ``oldest`` and ``newest``, and why others were refused.

    They come in parts of about ``size`` events, made as they are asked for, and at least one part comes.
    """
    export = SpanExport()
    window = (nanoseconds(oldest), nanoseconds(newest))
    seen: set[bytes] = set()
    room = size
    for source, span in _spans(request):
        key = span.trace_id + span.span_id
        room -= 1
        if refusal := _refusal(span, window):
            export.refusals[refusal] += 1
        elif key not in seen:
            seen.add(key)
            events = _events(span, source, export.doubts)
            export.admitted.append(Admitted(key, events))
            room -= len(events) - 1
        if room <= 0:
            yield export
            export, room = SpanExport(), size
    yield export


def _spans(request: ExportTraceServiceRequest) -> Iterator[tuple[_Source, Span]]:
    for resource_spans in request.resource_spans:
        for source, spans in _sources(resource_spans):
            for span in spans:
                yield source, span


def _sources(resource_spans: ResourceSpans) -> Iterable[tuple[_Source, Iterable[Span]]]:
    resource = read(resource_spans.resource.attributes)
    origin = Origin().refined(resource)
    attributes = resource_attributes(resource)
    flags = resource_flags(resource)
    for scope_spans in resource_spans.scope_spans:
        scope = scope_spans.scope.name
        yield _Source(resource, origin, attributes, flags, scope), scope_spans.spans


def _refusal(span: Span, window: tuple[int, int]) -> str | None:
    if len(span.trace_id) != 16 or span.trace_id in _NO_ID:
        return "without a valid trace id"
    if len(span.span_id) != 8 or span.span_id in _NO_ID:
        return "without a valid span id"
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if end < start:
        return "ended before they started"
    if end < window[0]:
        return "ended too long ago"
    if end > window[1]:
        return "ended in the future"
    return "lasted longer than 7 days" if end - start > _MAX_DURATION_NS else None


def _events(span: Span, source: _Source, doubts: Counter[str]) -> tuple[StoredEvent, ...]:
    values = read(span.attributes)
    notes = _notes(span) if span.events else _Notes()
    calls = _is_inference(values)
    trace = {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex(), **source.attributes}
    stored = Sorted(trace, trace.copy() if calls else None, source.flags)
    stored.add(values)
    for flag in notes.flags:
        stored.add_flag(first(flag, names.FLAG_KEY), first(flag, names.FLAG_VARIANT))

    origin = source.origin.refined(values)
    common: dict[str, Any] = {
        "timestamp": moment(span.end_time_unix_nano),
        "operation": name_of(values.get(names.OPERATION)) or clean(span.name, MAX_NAME) or UNNAMED,
        "environment": origin.environment,
        "gap_priority": origin.gap_priority,
        "user_id": origin.user_id,
        "session_id": origin.session_id,
        "flags": stored.flags or None,
    }
    run: dict[str, Any] = {
        "duration_ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    }
    error = _error(span, values, notes.exception)
    events: list[StoredEvent] = [
        Performance(
            **common,
            **run,
            **error,
            attributes=stored.plain,  # type: ignore[arg-type]  # a value of ours may not be null, theirs may
            error_context=_context(error, notes),
        )
    ]
    if stored.genai is not None:
        call = _call(values, source, stored.genai, doubts)
        events.append(LlmCall(**common, **run, **error, **call))
    events += _judgements(notes.evaluations, values, source, common, doubts)
    return tuple(events)


def _notes(span: Span) -> _Notes:
    notes = _Notes()
    for event in span.events:
        name = event.name
        if name == "exception":
            notes.exception = read(event.attributes)
        elif name in names.FLAG_EVENTS:
            notes.flags.append(read(event.attributes))
        elif name == names.EVALUATION_EVENT and len(notes.evaluations) < MAX_EVALUATIONS:
            notes.evaluations.append(read(event.attributes))
    return notes


def _is_inference(values: Values) -> bool:
    """Say whether the span is one call of a model, and not something that wraps calls or tells of them again."""
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
        # An operation that the conventions do not know counts only with everything that makes a call.
        return bool(modelled and counted)
    return bool(modelled or (counted and first(values, names.PROVIDER)))


def _error(span: Span, values: Values, exception: Values) -> dict[str, Any]:
    if span.status.code != _ERROR:
        return {}
    text = span.status.message or str(exception.get("exception.message") or "")
    return {
        "status": "error",
        "error_type": name_of(values.get("error.type") or exception.get("exception.type")),
        "error_message": clean(text, MAX_TEXT) or None,
    }


def _context(error: dict[str, Any], notes: _Notes) -> dict[str, Any] | None:
    stack = notes.exception.get("exception.stacktrace")
    if not error or type(stack) is not str:
        return None
    # The end of a stack trace is nearest to the error.
    tail = stack[-MAX_STACK_BYTES:].encode()[-MAX_STACK_BYTES:].decode(errors="ignore")
    context = {"stacktrace": tail.replace("\0", "")}
    return context if len(orjson.dumps(context)) <= MAX_CONTEXT_BYTES else None


def _call(
    values: Values, source: _Source, attributes: dict[str, Scalar], doubts: Counter[str]
) -> dict[str, Any]:
    """Return the fields that an ``llm_call`` has beside those of a ``performance``."""
    provider = _provider(values)
    requested = name_of(first(values, names.REQUEST_MODEL))
    answered = name_of(first(values, names.RESPONSE_MODEL))
    stated = values.get(names.TOKEN_CONVENTION) or source.resource.get(names.TOKEN_CONVENTION)
    usage = usage_of(values, provider=provider, scope=source.scope, stated=stated)
    if usage.violated:
        doubts["calls whose token counts contradict each other"] += 1
    # First, so that the bound on attributes never costs these two.
    noted: dict[str, Any] = {"token_convention": usage.convention}
    if answered and requested and answered != requested:
        noted["gen_ai.request.model"] = requested
    while len(attributes) + len(noted) > MAX_ATTRIBUTES:
        attributes.popitem()
    return {
        "provider": provider,
        # The model that answered is the one that is charged.
        "model": answered or requested,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": _cost(first(values, names.COST)),
        "attributes": noted | attributes,
    }


def _provider(values: Values) -> str | None:
    given = name_of(first(values, names.PROVIDER))
    return names.PROVIDERS.get(given.lower(), given.lower()) if given else None


def _cost(given: Scalar | None) -> Decimal | None:
    """Return the sender's cost, exact to the digits that it wrote.

    Zero is no cost: instrumentations send it for a model whose price they do not know, and then our prices decide.
    """
    if given is None or type(given) is bool:
        return None
    try:
        cost = Decimal(str(given)[:40])
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 < cost <= MAX_USD else None


def _judgements(
    evaluations: list[Values],
    values: Values,
    source: _Source,
    common: dict[str, Any],
    doubts: Counter[str],
) -> Iterable[Quality]:
    for evaluation in evaluations:
        score = _number(evaluation.get(names.EVALUATION_SCORE))
        if score is None:
            continue
        scale = first({**source.resource, **values, **evaluation}, (names.EVALUATION_SCALE,))
        score = score * 10 / (_number(scale) or DEFAULT_SCALE)
        if not 0 <= score <= 10:
            doubts["evaluation scores left out, outside of 0 to 10"] += 1
            continue
        evaluator = name_of(first(evaluation, names.EVALUATION_NAME))
        yield Quality(**common, score=score, evaluator=evaluator)


def _number(value: Scalar | None) -> float | None:
    """Return a number, also from text: attributes set through the environment are text."""
    if value is None or type(value) is bool:
        return None
    try:
        return float(value)
    except ValueError:
        return None
