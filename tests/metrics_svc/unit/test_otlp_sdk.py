"""What a real OpenTelemetry SDK sends, mapped from both encodings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.types import AttributeValue

from metrics_svc.domain.event import LlmCall, Performance, Quality
from metrics_svc.otlp.codec import Encoding, decode_metrics, decode_traces
from metrics_svc.otlp.counters import advance
from metrics_svc.otlp.points import Point, map_points
from metrics_svc.otlp.spans import SpanExport, map_spans
from tests.metrics_svc.unit.otlp_messages import as_otlp_json

RESOURCE = Resource.create(
    {"service.name": "answers", "deployment.environment.name": "staging", "tier": "gold"}
)
ENCODERS: dict[Encoding, Callable[[Message], bytes]] = {
    Encoding.PROTOBUF: lambda message: message.SerializeToString(),
    Encoding.JSON: as_otlp_json,
}


@pytest.fixture(scope="module")
def spans() -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app", "1.0")
    usage: dict[str, AttributeValue] = {
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
    }
    names: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
    }
    with tracer.start_as_current_span("POST /ask", attributes={"user.id": "u-1"}):
        with tracer.start_as_current_span("invoke_agent planner", attributes=usage) as agent:
            agent.set_attribute("gen_ai.operation.name", "invoke_agent")
            with tracer.start_as_current_span("chat gpt-4o", attributes=names | usage) as chat:
                chat.set_attribute("gen_ai.response.model", "gpt-4o-2024-08-06")
                chat.set_attribute("gen_ai.response.finish_reasons", ["stop"])
                chat.add_event("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 7.0})
        with (
            pytest.raises(ValueError, match="too long"),
            tracer.start_as_current_span("chat gpt-4o", attributes=names),
        ):
            raise ValueError("too long")
    provider.shutdown()
    return exporter.get_finished_spans()


def export(spans: tuple[ReadableSpan, ...], encoding: Encoding) -> SpanExport:
    now = datetime.now(UTC)
    request = decode_traces(ENCODERS[encoding](encode_spans(spans)), encoding)
    window = timedelta(hours=1)
    (mapped,) = map_spans(request, oldest=now - window, newest=now + window)
    return mapped


@pytest.mark.parametrize("encoding", list(Encoding))
def test_trace_of_the_sdk_counts_each_call_once(
    spans: tuple[ReadableSpan, ...], encoding: Encoding
) -> None:
    found = [event for admitted in export(spans, encoding).admitted for event in admitted.events]

    runs = [event for event in found if isinstance(event, Performance)]
    calls = [event for event in found if isinstance(event, LlmCall)]
    scores = [event for event in found if isinstance(event, Quality)]
    assert [run.operation for run in runs] == [span.name for span in spans]
    assert [(call.model, call.input_tokens, call.output_tokens) for call in calls] == [
        ("gpt-4o-2024-08-06", 120, 30),
        (None, 0, 0),
    ]
    assert [(call.status, call.error_type, call.error_message) for call in calls] == [
        ("ok", None, None),
        ("error", "ValueError", "ValueError: too long"),
    ]
    assert [score.score for score in scores] == [7.0]
    assert {event.environment for event in found} == {"staging"}
    assert runs[-1].user_id == "u-1"
    assert calls[0].attributes is not None
    assert calls[0].attributes["service.name"] == "answers"
    assert calls[0].attributes["gen_ai.response.finish_reasons"] == "stop"


def test_both_encodings_of_the_sdk_give_the_same_events(spans: tuple[ReadableSpan, ...]) -> None:
    assert export(spans, Encoding.PROTOBUF).admitted == export(spans, Encoding.JSON).admitted


def points(reader: InMemoryMetricReader, encoding: Encoding) -> dict[str, Point]:
    now = datetime.now(UTC)
    data = reader.get_metrics_data()
    assert data is not None
    request = decode_metrics(ENCODERS[encoding](encode_metrics(data)), encoding)
    window = timedelta(hours=1)
    (mapped,) = map_points(request, oldest=now - window, newest=now + window)
    assert mapped.message == ""
    return {point.labels.name: point for point in mapped.points}


@pytest.mark.parametrize("encoding", list(Encoding))
def test_cumulative_metrics_of_the_sdk_become_what_was_added(encoding: Encoding) -> None:
    reader = InMemoryMetricReader()
    exponential = View(
        instrument_name="latency", aggregation=ExponentialBucketHistogramAggregation()
    )
    provider = MeterProvider([reader], RESOURCE, views=[exponential], shutdown_on_exit=False)
    meter = provider.get_meter("app")
    tokens = meter.create_counter("gen_ai.client.inference.usage.input_tokens", "{token}")
    duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
    latency = meter.create_histogram("latency", "ms")
    depth = meter.create_up_down_counter("depth")
    for instrument in (duration, latency):
        instrument.record(0.2)
    tokens.add(100, {"gen_ai.request.model": "gpt-4o"})
    depth.add(5)
    first = points(reader, encoding)
    for value in (0.3, 700.0):
        duration.record(value)
        latency.record(value)
    tokens.add(11, {"gen_ai.request.model": "gpt-4o"})
    depth.add(-2)
    second = points(reader, encoding)
    provider.shutdown()

    added = {}
    for name, point in second.items():
        _, state = advance(None, first[name])
        added[name], _ = advance(state, point)

    counted = added["gen_ai.client.inference.usage.input_tokens"]
    assert counted is not None
    assert (counted.total, counted.unit, counted.environment) == (11.0, "{token}", "staging")
    assert counted.attributes == {
        "service.name": "answers",
        "gen_ai.request.model": "gpt-4o",
    }
    timed, sketched = added["gen_ai.client.operation.duration"], added["latency"]
    assert timed is not None
    assert sketched is not None
    assert (timed.count, sketched.count) == (2, 2)
    assert [timed.total, sketched.total] == pytest.approx([700.3, 700.3])
    # The SDK lowers the scale as the range grows: from 0.2 alone to 0.2 .. 700 with 160 buckets.
    assert [count for _, count in sketched.bins] == [1, 1]
    assert [value for value, _ in sketched.bins] == pytest.approx([0.3, 700.0], rel=0.05)
    assert second["depth"].measurement().total == 3.0
