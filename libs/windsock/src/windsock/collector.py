"""The collector: what an application calls to record what no tracked block can see."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from time import time

from windsock.ambient import AMBIENT, is_small, left_to_sender, metadata_of
from windsock.buffer import Buffer, Payload, Plain, Record
from windsock.counters import Stats
from windsock.failures import Failure, block_failed, described
from windsock.fields import MAX_NAME, Cleaner, InvalidFieldError, checked
from windsock.pipeline import Pipeline, SendingPipeline
from windsock.plain import (
    CACHE,
    EXPOSURE,
    LLM_CALL,
    QUALITY,
    is_plain_cache,
    is_plain_exposure,
    is_plain_llm_call,
    is_plain_quality,
)
from windsock.settings import Settings

COLLECTORS: weakref.WeakSet[MetricsCollector] = weakref.WeakSet()
_PERFORMANCE = "performance"
_ambient = AMBIENT.get


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

    def close_at_exit(self, spent_seconds: float = 0.0) -> None:
        """Close within the time that the settings allow for the end, less what it took so far."""
        if self._pipeline is not None:
            timeout = self._pipeline.settings.exit_timeout_seconds
            self._pipeline.close(max(timeout - spent_seconds, 0.0))

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
        values = (
            model,
            provider,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            cache_write_tokens,
            reasoning_tokens,
            cache_hit,
            duration_ms,
            cost_usd,
            status,
            error_type,
            error_message,
        )
        if is_plain_llm_call(values) and self._put_plain(
            "llm_call", operation, values, metadata, context
        ):
            return
        self.record(
            "llm_call", operation, dict(zip(LLM_CALL, values, strict=True)), metadata, context
        )

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
        values = (score, refined, accepted_first_pass, evaluator)
        if is_plain_quality(values) and self._put_plain(
            "quality", operation, values, metadata, context
        ):
            return
        self.record(
            "quality", operation, dict(zip(QUALITY, values, strict=True)), metadata, context
        )

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
        values = (layer, hit, miss_reason, saved_ms, saved_usd)
        if is_plain_cache(values) and self._put_plain(
            "cache", operation, values, metadata, context
        ):
            return
        self.record("cache", operation, dict(zip(CACHE, values, strict=True)), metadata, context)

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
        values = (flag_key, variant, targeting_key)
        if is_plain_exposure(values) and self._put_plain(
            "exposure", operation, values, metadata, context
        ):
            return
        self.record(
            "exposure", operation, dict(zip(EXPOSURE, values, strict=True)), metadata, context
        )

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
                fields = {**described(error), **given}
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

    def _put_plain(
        self,
        kind: str,
        operation: str | None,
        values: Plain,
        metadata: object,
        context: dict[str, object],
    ) -> bool:
        """Put an event of plain values into the buffer, if the rest of it is as usual."""
        ambient = _ambient()
        given = None
        if metadata is not None or context:
            left = left_to_sender(ambient, metadata, context)
            if left is None:
                return False
            ambient, given = left
        buffer = self.buffer
        if (
            (type(operation) is str and 0 < len(operation) <= MAX_NAME)
            or (operation is None and kind == "exposure")
        ) and (
            (ambient is None or not ambient.extra_slots) and len(buffer.events) < buffer.fast_limit
        ):
            buffer.events.append((time(), operation, ambient, (kind, given, values)))
            return True
        return False

    def record_block(
        self,
        operation: str,
        elapsed_ns: int,
        metadata: object,
        failure: Failure | None,
    ) -> None:
        """Record a tracked block that did not take the short path."""
        try:
            ambient = AMBIENT.get()
            if failure is None and is_small(metadata) and not (ambient and ambient.extra_slots):
                self.buffer.put((time(), operation, ambient, (elapsed_ns, {**metadata}, ())))
                return
            clean = Cleaner()
            ambient = metadata_of(metadata, None, clean)
            payload: Payload = elapsed_ns
            if failure is not None:
                payload = checked(_PERFORMANCE, block_failed(elapsed_ns, failure, ambient), clean)
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
