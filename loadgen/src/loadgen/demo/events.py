"""Events as the SDK sends them: the fields that the reference workload fills, and no others."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

NOTHING = msgspec.Raw()

Layer = Literal["l1", "l2", "prompt"]
MissReason = Literal["cold", "expired", "evicted"]


class Event(msgspec.Struct, omit_defaults=True, tag_field="type", kw_only=True, gc=False):
    """``flags`` and ``attributes`` are JSON that is written once for many events."""

    timestamp: datetime
    operation: str | None = None
    gap_priority: str | None = None
    user_id: str
    session_id: str
    flags: msgspec.Raw = NOTHING
    attributes: msgspec.Raw = NOTHING


class Performance(Event, tag="performance", kw_only=True, gc=False):
    duration_ms: float
    status: Literal["ok", "error"] = "ok"
    error_type: str | None = None
    error_message: str | None = None
    error_context: Mapping[str, str] | None = None


class LlmCall(Event, tag="llm_call", kw_only=True, gc=False):
    provider: str
    model: str
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: float
    status: Literal["ok", "error"] = "ok"
    error_type: str | None = None
    error_message: str | None = None


class Quality(Event, tag="quality", kw_only=True, gc=False):
    score: float
    refined: bool | None = None
    accepted_first_pass: bool | None = None
    evaluator: str


class Cache(Event, tag="cache", kw_only=True, gc=False):
    layer: Layer
    hit: bool
    miss_reason: MissReason | None = None
    saved_ms: float | None = None


class Exposure(Event, tag="exposure", kw_only=True, gc=False):
    flag_key: str
    variant: str
    targeting_key: str


AnyEvent = Performance | LlmCall | Quality | Cache | Exposure
