"""What the integrations share: recording a model call, and never raising while they look at one."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from windsock.fields import describe
from windsock.integrations._usage import Usage
from windsock.process import collector

STREAM_CUT = "StreamCut"


class quietly:  # noqa: N801  It is used like a function.
    """A block whose failure is counted as an invalid event instead of reaching the application."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        collector.pipeline.counters.invalid(f"{self._what}: {type(error).__name__}")
        return True


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call failed, as its event says it."""

    type: str
    message: str | None = None


def fault_of(error: BaseException) -> Fault | None:
    """Return what to say of ``error``; ``None`` where it only says that nobody reads on."""
    if isinstance(error, GeneratorExit):
        return None
    text = describe(error)
    # Clients say "Connection error." and leave the reason to the cause.
    if error.__cause__ is not None:
        text = f"{text} ({type(error.__cause__).__name__}: {describe(error.__cause__)})"
    if isinstance(error, CancelledError) and not text:
        text = "cancelled while waiting for the answer"
    return Fault(type(error).__name__, text)


def usage_of_error(error: BaseException | None) -> Usage | None:
    """Return no tokens for a call that the provider refused with a status; else they are unknown."""
    return Usage() if isinstance(getattr(error, "status_code", None), int) else None


@dataclass(slots=True, kw_only=True)
class ModelCall:
    """What is known of a model call in the end. Without ``usage`` its tokens are unknown."""

    operation: str
    provider: str | None
    requested_model: str | None
    duration_ms: float
    model: str | None = None
    usage: Usage | None = None
    fault: Fault | None = None
    first_token_ms: float | None = None

    def record(self, metadata: Mapping[str, object] | None = None) -> None:
        """Record the ``llm_call``, and a look-up in the provider's cache if it told of one."""
        usage, fault = self.usage or Usage(), self.fault
        collector.record_llm_cost(
            self.operation,
            usage.input_tokens,
            usage.output_tokens,
            model=self.model or self.requested_model,
            provider=self.provider,
            cached_input_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            duration_ms=self.duration_ms,
            status="error" if fault else "ok",
            error_type=None if fault is None else fault.type,
            error_message=None if fault is None else fault.message,
            metadata={**(metadata or {}), **self._attributes()},
        )
        if usage.cached_input_tokens is not None:
            hit = usage.cached_input_tokens > 0
            collector.record_cache_event(self.operation, "prompt", hit, metadata=metadata)

    def _attributes(self) -> dict[str, object]:
        attributes: dict[str, object] = {}
        if self.first_token_ms is not None:
            attributes["time_to_first_token_ms"] = self.first_token_ms
        if self.model and self.requested_model and self.model != self.requested_model:
            attributes["requested_model"] = self.requested_model
        if self.usage is None:
            attributes["tokens"] = "unknown"
        return attributes


def named_provider(known: str | None, host: str) -> str | None:
    """Return the provider of a call: the known one, else the configured default, else the host.

    The default is filled in when the event is sent, so it is ``None`` here.
    """
    if known is not None:
        return known
    return None if collector.pipeline.settings.default_provider else host or None
