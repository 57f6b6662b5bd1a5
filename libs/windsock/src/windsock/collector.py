"""The collector: what an application calls to record what no tracked block can see."""

from __future__ import annotations

import threading
import traceback
import weakref
from collections.abc import Mapping
from time import time
from types import TracebackType
from typing import Any, TypeGuard

from windsock.ambient import AMBIENT, Ambient, merged
from windsock.buffer import Buffer, Payload, Record
from windsock.counters import Stats
from windsock.fields import MAX_NAME, MAX_TEXT, Cleaner, InvalidFieldError, checked
from windsock.pipeline import Pipeline, SendingPipeline
from windsock.settings import Settings

COLLECTORS: weakref.WeakSet[MetricsCollector] = weakref.WeakSet()
_PERFORMANCE = "performance"


class MetricsCollector:
    """Records events. No method raises for what it is given, and none waits for the network.

    Every ``record_`` method takes ``metadata`` and further keywords: ``user_id``,
    ``session_id``, ``gap_priority``, ``environment``, ``flags`` and ``attributes`` become
    fields of the event, any other an attribute. They win over the ambient ones.
    Without ``settings`` the environment is read when the first event comes.
    """

    __slots__ = ("__weakref__", "_lock", "_pipeline", "buffer")

    def __init__(self, settings: Settings | None = None) -> None:
        self._lock = threading.RLock()
        self._pipeline: Pipeline | None = None
        self.buffer = Buffer(0, self._first)
        if settings is not None:
            self.install(SendingPipeline(settings))
        COLLECTORS.add(self)

    @property
    def pipeline(self) -> Pipeline:
        """Where the records go; made from the environment if nothing was configured."""
        with self._lock:
            if self._pipeline is None:
                self.install(SendingPipeline(Settings.from_env()))
            assert self._pipeline is not None
            return self._pipeline

    def install(self, pipeline: Pipeline | None) -> Pipeline | None:
        """Send records to ``pipeline`` from now on; return the one before, as it is."""
        with self._lock:
            before, self._pipeline = self._pipeline, pipeline
            self.buffer = Buffer(0, self._first) if pipeline is None else pipeline.buffer
            return before

    def after_fork(self) -> None:
        """Start afresh in a forked child."""
        self._lock = threading.RLock()
        if self._pipeline is not None:
            self._pipeline = self._pipeline.after_fork()
            self.buffer = self._pipeline.buffer

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the service has answered for all that was recorded before, and the spool.

        Return ``False`` if that took longer than ``timeout`` seconds.
        """
        return self.pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Send what is there for at most ``timeout`` seconds and stop; safe to call again.

        What could not be sent by then is in the spool, or else dropped and counted. Return
        whether all of it was answered for.
        """
        with self._lock:
            pipeline = self._pipeline
        return pipeline is None or pipeline.close(timeout)

    def close_at_exit(self) -> None:
        """Close within the time that the settings allow for it."""
        if self._pipeline is not None:
            self._pipeline.close(self._pipeline.settings.exit_timeout_seconds)

    def stats(self) -> Stats:
        """Return what became of the events so far."""
        return self.pipeline.stats()

    def record_performance(
        self,
        operation: str,
        duration_ms: float,
        status: str = "ok",
        *,
        error_type: str | None = None,
        error_message: str | None = None,
        error_context: Mapping[str, object] | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record one run of ``operation`` that was timed elsewhere."""
        fields: dict[str, object] = {
            "duration_ms": duration_ms,
            "status": status,
            "error_type": error_type,
            "error_message": error_message,
            "error_context": error_context,
        }
        self.record(_PERFORMANCE, operation, fields, metadata, context)

    def record_error(
        self,
        operation: str,
        error: BaseException | str | None = None,
        *,
        duration_ms: float = 0.0,
        error_type: str | None = None,
        error_message: str | None = None,
        error_context: Mapping[str, object] | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record one failed run of ``operation``; not needed inside a tracked block."""
        fields: dict[str, object] = {
            "duration_ms": duration_ms,
            "status": "error",
            "error_type": error_type,
            "error_message": error_message,
            "error_context": error_context,
        }
        self.record(
            _PERFORMANCE, operation, fields, metadata, context, error="" if error is None else error
        )

    def record_llm_cost(
        self,
        operation: str,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_hit: bool | None = None,
        *,
        model: str | None = None,
        provider: str | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        duration_ms: float | None = None,
        cost_usd: float | None = None,
        status: str = "ok",
        error_type: str | None = None,
        error_message: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record one call to a model. Cached tokens are part of ``input_tokens``.

        The service prices it by ``model``, or the configured default; a call without
        either is stored unpriced. ``cost_usd`` wins over the price list.
        """
        fields: dict[str, object] = {
            "model": model,
            "provider": provider,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cached_input_tokens": cached_input_tokens,
            "cache_write_tokens": cache_write_tokens,
            "reasoning_tokens": reasoning_tokens,
            "cache_hit": cache_hit,
            "duration_ms": duration_ms,
            "cost_usd": cost_usd,
            "status": status,
            "error_type": error_type,
            "error_message": error_message,
        }
        self.record("llm_call", operation, fields, metadata, context)

    def record_quality(
        self,
        operation: str,
        score: float | None = None,
        refined: bool | None = None,
        accepted_first_pass: bool | None = None,
        *,
        evaluator: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record one judgement of an answer, ``score`` from 0 to 10."""
        fields: dict[str, object] = {
            "score": score,
            "refined": refined,
            "accepted_first_pass": accepted_first_pass,
            "evaluator": evaluator,
        }
        self.record("quality", operation, fields, metadata, context)

    def record_cache_event(
        self,
        operation: str,
        layer: str = "l1",
        hit: bool = True,
        *,
        miss_reason: str | None = None,
        saved_ms: float | None = None,
        saved_usd: float | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record one look-up; ``layer`` is l1, l2 or prompt, ``miss_reason`` cold, expired or evicted."""
        fields: dict[str, object] = {
            "layer": layer,
            "hit": hit,
            "miss_reason": miss_reason,
            "saved_ms": saved_ms,
            "saved_usd": saved_usd,
        }
        self.record("cache", operation, fields, metadata, context)

    def record_exposure(
        self,
        flag_key: str,
        variant: str,
        targeting_key: str | None = None,
        *,
        operation: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **context: object,
    ) -> None:
        """Record that a unit saw a variant; ``targeting_key`` is the ambient user if not given."""
        fields: dict[str, object] = {
            "flag_key": flag_key,
            "variant": variant,
            "targeting_key": targeting_key,
        }
        self.record("exposure", operation, fields, metadata, context)

    def record(
        self,
        kind: str,
        operation: object,
        fields: dict[str, object],
        metadata: object = None,
        context: Mapping[str, object] | None = None,
        *,
        error: object = None,
    ) -> None:
        """Check an event and put it into the buffer; what cannot be used is counted."""
        try:
            clean = Cleaner()
            if error is not None:
                given = {name: value for name, value in fields.items() if value is not None}
                fields = {**_described(error), **given}
            ambient = metadata_of(metadata, context, clean)
            if kind == "exposure" and fields["targeting_key"] is None and ambient is not None:
                fields["targeting_key"] = ambient.names.get("user_id")
            values = checked(kind, fields, clean)
            name = None if operation is None and kind == "exposure" else clean.name(operation) or ""
            self._put((time(), name, ambient, values), clean)
        except InvalidFieldError as error:
            self.pipeline.counters.invalid(str(error))
        # The promise of the SDK: whatever an application hands in, recording never raises.
        except Exception as error:  # noqa: BLE001
            self.pipeline.counters.invalid(f"{kind}: {type(error).__name__}")

    def record_block(
        self,
        operation: str,
        elapsed_ns: int,
        metadata: object,
        failure: tuple[BaseException | None, TracebackType | None] | None,
    ) -> None:
        """Record a tracked block that did not take the short path."""
        try:
            ambient = AMBIENT.get()
            if failure is None and _is_small(metadata) and not (ambient and ambient.extra_slots):
                self.buffer.put((time(), operation, ambient, (elapsed_ns, {**metadata})))
                return
            clean = Cleaner()
            ambient = metadata_of(metadata, None, clean)
            payload: Payload = elapsed_ns
            if failure is not None:
                payload = checked(_PERFORMANCE, _failed(elapsed_ns, failure, ambient), clean)
            self._put((time(), operation, ambient, payload), clean)
        # As above; here an exception of ours would even hide the application's own.
        except Exception as error:  # noqa: BLE001
            self.pipeline.counters.invalid(f"{_PERFORMANCE}: {type(error).__name__}")

    def _put(self, record: Record, clean: Cleaner) -> None:
        _, _, ambient, payload = record
        extra_slots = 0 if ambient is None else ambient.extra_slots
        if isinstance(payload, dict) and "error_message" in payload:
            extra_slots += _ERROR_SLOTS
        self.buffer.put(record, extra_slots)
        if clean.truncated:
            self.pipeline.counters.add("truncated", clean.truncated)

    def _first(self, record: Record, extra_slots: int) -> None:
        self.pipeline.buffer.put(record, extra_slots)


# An error's message and context are bounded to about this many KiB.
_ERROR_SLOTS = 4
_SMALL_ENTRIES = 8
_SMALL_TEXT = 100


def _is_small(metadata: object) -> TypeGuard[dict[str, object]]:
    """Return whether ``metadata`` is so plain that cleaning it can be left to the sender."""
    if type(metadata) is not dict or len(metadata) > _SMALL_ENTRIES:
        return False
    for key, value in metadata.items():
        if type(key) is not str or len(key) > _SMALL_TEXT:
            return False
        kind = type(value)
        if kind is str:
            if len(value) > _SMALL_TEXT:
                return False
        elif kind is not int and kind is not float and kind is not bool and value is not None:
            return False
    return True


def metadata_of(
    metadata: object, context: Mapping[str, object] | None, clean: Cleaner
) -> Ambient | None:
    """Return the ambient metadata with the explicit on top, ``context`` over ``metadata``."""
    ambient = AMBIENT.get()
    if metadata is not None:
        ambient = merged(ambient, metadata, clean)  # type: ignore[arg-type]  # It checks.
    return merged(ambient, context, clean) if context else ambient


def _described(error: object) -> dict[str, object]:
    if isinstance(error, BaseException):
        return error_fields(error, error.__traceback__)
    return {"error_type": "error", "error_message": error}


def _failed(
    elapsed_ns: int,
    failure: tuple[BaseException | None, TracebackType | None],
    ambient: Ambient | None,
) -> dict[str, object]:
    error, trace = failure
    assert error is not None
    fields = error_fields(error, trace)
    attributes = ambient.attributes if ambient is not None else {}
    context = {**fields.pop("error_context"), **attributes}
    return {"duration_ms": elapsed_ns / 1e6, "status": "error", **fields, "error_context": context}


def error_fields(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    """Return type, message, place and cause of ``error``, without raising."""
    clean = Cleaner()
    context = {}
    if trace is not None:
        for frame, line in traceback.walk_tb(trace):
            context["where"] = f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        context["cause"] = f"{type(cause).__name__}: {clean.text(cause, MAX_NAME)}"
    return {
        "error_type": type(error).__name__,
        "error_message": clean.text(error, MAX_TEXT),
        "error_context": context,
    }
