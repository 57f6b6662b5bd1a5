from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

import windsock
from tests.sdk.receiver import Receiver
from windsock.integrations.opentelemetry import WindsockSpanProcessor
from windsock.pipeline import SendingPipeline
from windsock.testing import Captured

ENDED_NS = 1_800_000_000_123_456_789


@pytest.fixture
def tracer_for() -> Iterator[Callable[..., Tracer]]:
    """Make tracers whose spans a processor with the given arguments sees."""
    providers = []

    def make(processor: WindsockSpanProcessor | None = None, **options: object) -> Tracer:
        provider = TracerProvider(
            resource=Resource({}),
            shutdown_on_exit=False,
            **options,  # type: ignore[arg-type]
        )
        provider.add_span_processor(processor or WindsockSpanProcessor())
        providers.append(provider)
        return provider.get_tracer("app")

    yield make
    for provider in providers:
        provider.shutdown()


def test_a_span_is_recorded_when_it_ends(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    with tracer_for().start_as_current_span("retrieve"):
        assert captured.events == []

    (event,) = captured.events
    assert event["type"] == "performance"
    assert event["operation"] == "retrieve"
    assert event["environment"] == "production"


def test_an_event_bears_the_time_of_its_span(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    span = tracer_for().start_span("retrieve", start_time=ENDED_NS - 2_500_000_000)
    span.end(ENDED_NS)

    (event,) = captured.events
    assert event["timestamp"] == "2027-01-15T08:00:00.123456Z"
    assert event["duration_ms"] == 2500.0


def test_a_span_that_is_not_sampled_is_left_out(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    with tracer_for(sampler=ALWAYS_OFF).start_as_current_span("retrieve"):
        pass

    assert captured.events == []


def test_a_filter_leaves_spans_out(tracer_for: Callable[..., Tracer], captured: Captured) -> None:
    def wanted(span: ReadableSpan) -> bool:
        return not span.name.startswith("GET")

    tracer = tracer_for(WindsockSpanProcessor(filter=wanted))
    for name in ("GET /", "retrieve"):
        with tracer.start_as_current_span(name):
            pass

    assert [event["operation"] for event in captured.events] == ["retrieve"]


def test_a_filter_that_raises_disturbs_nobody(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    def broken(span: ReadableSpan) -> bool:
        raise ValueError(span.name)

    with tracer_for(WindsockSpanProcessor(filter=broken)).start_as_current_span("retrieve"):
        pass

    assert captured.events == []
    assert captured.stats().dropped == {"invalid": 1}


def test_what_the_context_says_counts_where_the_span_says_nothing(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    tracer = tracer_for()

    with (
        windsock.context(user_id="u-1", gap_priority="HIGH", tenant="t-1"),
        tracer.start_as_current_span("retrieve", attributes={"user.id": "u-2"}),
    ):
        pass

    (event,) = captured.events
    assert event["user_id"] == "u-2"
    assert event["gap_priority"] == "HIGH"
    assert event["attributes"]["tenant"] == "t-1"


def test_a_span_that_no_event_can_be_made_of_is_counted(
    tracer_for: Callable[..., Tracer], captured: Captured
) -> None:
    tracer_for().start_span("eight days", start_time=ENDED_NS - 8 * 86_400 * 10**9).end(ENDED_NS)

    assert captured.events == []
    assert captured.stats().dropped == {"invalid": 1}


def test_spans_reach_the_service(tracer_for: Callable[..., Tracer], receiver: Receiver) -> None:
    pipeline = SendingPipeline(windsock.Settings(endpoint=receiver.url))
    former = windsock.get_metrics_collector().install(pipeline)
    processor = WindsockSpanProcessor()

    with tracer_for(processor).start_as_current_span("retrieve"):
        pass

    assert processor.force_flush(5_000)
    assert [event["operation"] for event in receiver.events] == ["retrieve"]
    windsock.get_metrics_collector().install(former)
    pipeline.close(1.0)
