"""The events that an application sends, as typed values whose bounds msgspec checks while it decodes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_NAME = 200
MAX_TEXT = 2_000
MAX_ATTRIBUTES = 32
MAX_FLAGS = 32
MAX_CONTEXT_BYTES = 8_192
# With MAX_USD and the dearest published price, a hundred thousand such calls in a bucket still fit 64 bits.
MAX_TOKENS = 100_000_000
MAX_DURATION_MS = 7 * 86_400_000
MAX_USD = 10_000
DEFAULT_ENVIRONMENT = "production"

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Timestamp = Annotated[datetime, Meta(tz=True)]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Milliseconds = Annotated[float, Meta(ge=0, le=MAX_DURATION_MS)]
# Decimal keeps what the client wrote, so that money is exact to the nano-dollar. It has no bounds in msgspec.
Usd = Decimal
Scalar = Text | int | float | bool | None
Attributes = Annotated[dict[Name, Scalar], Meta(max_length=MAX_ATTRIBUTES)]
Flags = Annotated[dict[Name, Name], Meta(max_length=MAX_FLAGS)]
Status = Literal["ok", "error"]
Layer = Literal["l1", "l2", "prompt"]
MissReason = Literal["cold", "expired", "evicted"]


class Event(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True, gc=False):
    """What every event may carry. ``timestamp`` is ``None`` until the service stamps the arrival."""

    timestamp: Timestamp | None = None
    environment: Name = DEFAULT_ENVIRONMENT
    gap_priority: Name | None = None
    user_id: Name | None = None
    session_id: Name | None = None
    flags: Flags | None = None
    attributes: Attributes | None = None


class Performance(Event, tag="performance", kw_only=True, gc=False):
    """One timed run of an operation."""

    operation: Name
    duration_ms: Milliseconds
    status: Status = "ok"
    error_type: Name | None = None
    error_message: Text | None = None
    error_context: dict[Name, Any] | None = None


class LlmCall(Event, tag="llm_call", kw_only=True, gc=False):
    """One call to a model provider. Cached and cache-write tokens are part of ``input_tokens``."""

    operation: Name
    provider: Name | None = None
    model: Name | None = None
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    duration_ms: Milliseconds | None = None
    cache_hit: bool | None = None
    status: Status = "ok"
    error_type: Name | None = None
    error_message: Text | None = None
    cost_usd: Usd | None = None


class Quality(Event, tag="quality", kw_only=True, gc=False):
    """One judgement of an answer, on a scale from 0 to 10."""

    operation: Name
    score: Annotated[float, Meta(ge=0, le=10)] | None = None
    refined: bool | None = None
    accepted_first_pass: bool | None = None
    evaluator: Name | None = None


class Cache(Event, tag="cache", kw_only=True, gc=False):
    """One look-up in a cache of the application, or of the provider (``prompt``)."""

    operation: Name
    layer: Layer
    hit: bool
    miss_reason: MissReason | None = None
    saved_ms: Milliseconds | None = None
    saved_usd: Usd | None = None


class Exposure(Event, tag="exposure", kw_only=True, gc=False):
    """A unit (``targeting_key``) saw a variant of a flag."""

    operation: Name | None = None
    flag_key: Name
    variant: Name
    targeting_key: Name | None = None


class Probe(Event, tag="probe", kw_only=True, gc=False):
    """One check of a dependency."""

    operation: Name | None = None
    target: Name
    kind: Name
    up: bool
    latency_ms: Milliseconds | None = None
    detail: Text | None = None


class Measurement(Event, kw_only=True, gc=False):
    """A point of an OTLP metric under its own name; made by the OTLP route, never sent as an event.

    A histogram point stands for ``count`` observations whose sum is ``total``: ``bins`` then holds
    (representative value, observations). A gauge or counter point is one observation.
    """

    operation: Name | None = None
    name: Name
    unit: str = ""
    total: float = 0.0
    count: int = 1
    low: float | None = None
    high: float | None = None
    bins: tuple[tuple[float, int], ...] = ()


AnyEvent = Performance | LlmCall | Quality | Cache | Exposure | Probe
StoredEvent = AnyEvent | Measurement
