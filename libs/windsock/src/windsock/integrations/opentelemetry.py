"""Turns the spans of an application into events where they end, without an exporter."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from windsock.ambient import AMBIENT, merged
from windsock.fields import Cleaner, InvalidFieldError, checked
from windsock.integrations._otel_spans import Event, Source, SpanEvents, events_of
from windsock.integrations._recording import quietly
from windsock.process import collector

# The room in the buffer that an error's texts may take, in KiB.
_ERROR_SLOTS = 6


class WindsockSpanProcessor(SpanProcessor):
    """A processor for ``TracerProvider.add_span_processor``.

    Each span becomes the events that the service would make of it if it came over OTLP: a
    ``performance`` under its name, a ``llm_call`` where it is a call of a model, a ``quality``
    for each evaluation. It is one way or the other: with an exporter to the same service,
    each span would count twice.

    Spans that are not sampled are left out, and those for which ``filter`` is false. What
    ``windsock.context`` says around the end of a span counts where the span says nothing.
    """

    def __init__(self, *, filter: Callable[[ReadableSpan], bool] | None = None) -> None:  # noqa: A002
        self._filter = filter
        self._source: Source | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Leave a span alone until it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Record the events of ``span``."""
        with quietly("opentelemetry"):
            context = span.get_span_context()
            if context is None or not context.trace_flags.sampled:
                return
            if self._filter is not None and not self._filter(span):
                return
            found = events_of(span, self._source_of(span))
            for event in found.events:
                _record(event, found)

    def shutdown(self) -> None:
        """Leave the collector to the application, which may record elsewhere too."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until the service has answered for all that was recorded before."""
        return collector.flush(timeout_millis / 1_000)

    def _source_of(self, span: ReadableSpan) -> Source:
        # Nearly always the same as before.
        source = self._source
        if source is None or source.resource is not span.resource:
            source = self._source = Source(span.resource)
        return source


def _record(event: Event, found: SpanEvents) -> None:
    """Put an event into the buffer with the time at which its span ended, which may lie back."""
    clean = Cleaner()
    metadata = {**found.origin, "flags": found.flags, "attributes": event.attributes}
    ambient = merged(AMBIENT.get(), metadata, clean)
    try:
        payload = checked(event.kind, event.fields, clean)
    except InvalidFieldError as error:
        collector.pipeline.counters.invalid(str(error))
        return
    if event.stack is not None:
        payload["error_context"] = {"stacktrace": event.stack}
    slots = ambient.extra_slots + (_ERROR_SLOTS if "error_message" in payload else 0)
    collector.buffer.put((found.ended, found.operation, ambient, payload), slots)
    if clean.truncated:
        collector.pipeline.counters.add("truncated", clean.truncated)
