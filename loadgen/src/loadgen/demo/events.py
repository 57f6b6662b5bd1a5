"""Events as the SDK sends them: the fields that the reference workload fills, and no others."""

from datetime import datetime
from typing import Literal

import msgspec


class Event(msgspec.Struct, omit_defaults=True, tag_field="type", kw_only=True, gc=False):
    """``flags`` is JSON that is written once for each user, not once for each event."""

    timestamp: datetime
    operation: str | None = None
    gap_priority: str | None = None
    user_id: str
    session_id: str
    flags: msgspec.Raw = msgspec.Raw()


class Performance(Event, tag="performance", kw_only=True, gc=False):
    duration_ms: float
    status: Literal["ok", "error"] = "ok"
    error_type: str | None = None
    error_message: str | None = None


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
    layer: Literal["l1", "l2", "prompt"]
    hit: bool
    miss_reason: Literal["cold", "expired", "evicted"] | None = None
    saved_ms: float | None = None


class Exposure(Event, tag="exposure", kw_only=True, gc=False):
    flag_key: str
    variant: str
    targeting_key: str


AnyEvent = Performance | LlmCall | Quality | Cache | Exposure
