"""What one request records: events with its user, session and flags on them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from loadgen.demo.events import (
    NOTHING,
    AnyEvent,
    Cache,
    Exposure,
    Layer,
    LlmCall,
    MissReason,
    Performance,
    Quality,
)
from loadgen.demo.users import User

_DIGITS = 3
_SCORE_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a model call failed: as the client names it, as the workload does, and as HTTP says it."""

    call: str
    call_message: str
    node: str
    message: str
    cause: str
    status: int
    code: str


LIMITED = Fault(
    call="RateLimitError",
    call_message="Error code: 429 - the quota of requests per minute is used up",
    node="RateLimitedError",
    message="the provider limits the rate of calls",
    cause="RateLimitError: Error code: 429 - the quota of requests per minute is used up",
    status=503,
    code="rate_limited",
)
TIMED_OUT = Fault(
    # The workload gives up before its client does, and so the client sees a cancelled call.
    call="CancelledError",
    call_message="cancelled while waiting for the answer",
    node="ProviderTimeoutError",
    message="the provider took longer than 30 s",
    cause="TimeoutError: ",
    status=504,
    code="provider_timeout",
)


@dataclass(frozen=True, slots=True)
class Call:
    """A model call. ``cached`` tokens are part of the input; None: the provider tells nothing."""

    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached: int | None = None


@dataclass(slots=True)
class Recorder:
    """Times are Unix seconds. An event is stamped with its end: that is when the SDK records it.

    ``attributes`` are those of the run that is going on.
    """

    user: User
    session_id: str
    attributes: msgspec.Raw = field(default_factory=lambda: NOTHING)
    events: list[AnyEvent] = field(default_factory=list)

    def exposures(self, at: float) -> None:
        """Record which variant of each flag the user got."""
        for key, variant in self.user.variants.items():
            self.events.append(
                Exposure(
                    timestamp=_moment(at),
                    user_id=self.user.name,
                    session_id=self.session_id,
                    flag_key=key,
                    variant=variant,
                    targeting_key=self.user.name,
                )
            )

    def request(
        self, path: str, start: float, first_byte: float, end: float, fault: Fault | None
    ) -> None:
        """Record the HTTP request as a whole, outside of which nobody knows flags or priority.

        A stream has begun with 200 when its work fails, and tells the failure itself.
        """
        streamed = path.endswith("/stream")
        status = HTTPStatus.OK if fault is None or streamed else fault.status
        error_type = None
        if fault is not None:
            error_type = fault.code if streamed else f"HTTP {fault.status}"
        first_byte_ms = _milliseconds(first_byte - start)
        attributes = {"http_status": status, "time_to_first_byte_ms": first_byte_ms}
        self.events.append(
            Performance(
                timestamp=_moment(end),
                operation=f"POST /api/adaptive-questions/{path}",
                user_id=self.user.name,
                session_id=self.session_id,
                attributes=msgspec.Raw(msgspec.json.encode(attributes)),
                duration_ms=_milliseconds(end - start),
                status="ok" if fault is None else "error",
                error_type=error_type,
            )
        )

    def node(
        self, name: str, priority: str, start: float, end: float, fault: Fault | None = None
    ) -> None:
        about = self._about(name, priority, end)
        duration_ms = _milliseconds(end - start)
        if fault is None:
            event = Performance(**about, duration_ms=duration_ms)
        else:
            event = Performance(
                **about,
                duration_ms=duration_ms,
                status="error",
                error_type=fault.node,
                error_message=fault.message,
                error_context={"cause": fault.cause},
            )
        self.events.append(event)

    def call(self, name: str, priority: str, start: float, end: float, call: Call) -> None:
        """Record a model call, and what the provider's cache did for it."""
        self.events.append(
            LlmCall(
                **self._about(name, priority, end),
                provider=call.provider,
                model=call.model,
                input_tokens=call.input_tokens,
                cached_input_tokens=call.cached or 0,
                output_tokens=call.output_tokens,
                duration_ms=_milliseconds(end - start),
            )
        )
        if call.cached is not None:
            about = self._about(name, priority, end)
            self.events.append(Cache(**about, layer="prompt", hit=call.cached > 0))

    def failed_call(
        self, name: str, priority: str, start: float, end: float, *, call: Call, fault: Fault
    ) -> None:
        self.events.append(
            LlmCall(
                **self._about(name, priority, end),
                provider=call.provider,
                model=call.model,
                duration_ms=_milliseconds(end - start),
                status="error",
                error_type=fault.call,
                error_message=fault.call_message,
            )
        )

    def hit(self, layer: Layer, name: str, priority: str, at: float, saved_ms: float) -> None:
        about = self._about(name, priority, at)
        saved_ms = round(saved_ms, _DIGITS)
        self.events.append(Cache(**about, layer=layer, hit=True, saved_ms=saved_ms))

    def miss(self, layer: Layer, name: str, priority: str, at: float, reason: MissReason) -> None:
        about = self._about(name, priority, at)
        self.events.append(Cache(**about, layer=layer, hit=False, miss_reason=reason))

    def judgement(
        self,
        name: str,
        priority: str,
        at: float,
        score: float,
        *,
        evaluator: str,
        accepted: bool | None,
    ) -> None:
        """Record a score; ``accepted`` tells of a first judgement whether it was good enough."""
        self.events.append(
            Quality(
                **self._about(name, priority, at),
                score=round(score, _SCORE_DIGITS),
                refined=None if accepted is None else not accepted,
                accepted_first_pass=accepted,
                evaluator=evaluator,
            )
        )

    def _about(self, name: str, priority: str, at: float) -> dict[str, Any]:
        return {
            "timestamp": _moment(at),
            "operation": name,
            "gap_priority": priority,
            "user_id": self.user.name,
            "session_id": self.session_id,
            "flags": self.user.flags,
            "attributes": self.attributes,
        }


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, _DIGITS)
