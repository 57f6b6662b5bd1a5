"""Metric points over HTTP, from a real OpenTelemetry SDK and by hand, into a real store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from tests.metrics_svc.integration.otlp_exports import (
    CALL,
    JSON,
    METRICS,
    TRACES,
    ask,
    new_span,
    post,
    rows,
)
from tests.metrics_svc.unit.otlp_messages import (
    SECOND,
    as_otlp_json,
    metrics_request,
    trace_request,
)
from windsock_kit.testing import running, serving

NewDatabase = Callable[[], Awaitable[str]]
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
VALUE, COUNT = "measurement.value", "measurement.count"
TOKENS = "gen_ai.client.inference.usage.input_tokens"
DURATION = "gen_ai.client.operation.duration"


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest_asyncio.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with running(create_app(Settings(database_url=url))) as found:
        yield found


def export_three_times(endpoint: str) -> None:
    """Count and observe between the exports of one process, as an SDK does unless told otherwise."""
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    resource = Resource.create({"service.name": "answers", "windsock.operation": "answer"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    meter = provider.get_meter("app")
    tokens = meter.create_counter(TOKENS, "{token}")
    durations = meter.create_histogram(DURATION, "s")
    depth = meter.create_up_down_counter("queue.depth")
    for number in range(3):
        tokens.add(100, {"gen_ai.request.model": "gpt-4o"})
        tokens.add(10 * number, {"gen_ai.request.model": "gpt-4o-mini"})
        durations.record(0.5 + number)
        durations.record(0.1)
        depth.add(3 if number else 1)
        assert provider.force_flush()
    provider.shutdown()


async def test_cumulative_metrics_of_a_real_sdk_give_their_totals(url: str) -> None:
    async with (
        serving(create_app(Settings(database_url=url))) as endpoint,
        httpx.AsyncClient(base_url=endpoint) as client,
    ):
        # The last export is that of the shutdown, in which nothing has moved.
        await asyncio.to_thread(export_three_times, endpoint)

        assert await ask(client, VALUE, name=TOKENS) == 330
        assert await ask(client, VALUE, name=TOKENS, operation="answer", unit="{token}") == 330
        assert await ask(client, VALUE, name=DURATION) == pytest.approx(4.8)
        assert await ask(client, COUNT, name=DURATION) == 6
        # No better than the SDK's first bucket, which ends at 5.
        assert await ask(client, VALUE, "p99", name=DURATION) == pytest.approx(2.5, rel=0.01)
        assert await ask(client, VALUE, "max", name="queue.depth") == 7


async def test_points_are_never_added_to_what_spans_count(client: httpx.AsyncClient) -> None:
    await post(client, TRACES, trace_request([new_span(CALL)]))
    now = time.time_ns()
    point = NumberDataPoint(as_int=1_000, start_time_unix_nano=now - SECOND, time_unix_nano=now)
    counted = Sum(data_points=[point], aggregation_temporality=DELTA, is_monotonic=True)

    await post(client, METRICS, metrics_request([Metric(name=TOKENS, sum=counted)]))

    assert await ask(client, VALUE, name=TOKENS) == 1_000
    assert await ask(client, "llm_call.input_tokens") == 1_000
    assert await ask(client, "llm_call.count") == 1
    dashboard = (await client.get("/api/metrics/dashboard")).json()
    assert dashboard["performance"]["all_operations"]["count"] == 1
    assert dashboard["costs"]["total_cost_usd"] == 0.0035


def request_of(
    *points: NumberDataPoint, temporality: int | None = None
) -> ExportMetricsServiceRequest:
    if temporality is None:
        return metrics_request([Metric(name="n", gauge=Gauge(data_points=points))])
    data = Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=True)  # type: ignore[arg-type]
    return metrics_request([Metric(name="n", sum=data)])


def points_since(start: int, *values: int) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(
            as_int=value, start_time_unix_nano=start, time_unix_nano=start + (number + 1) * SECOND
        )
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    "temporality", [None, DELTA, CUMULATIVE], ids=["gauge", "delta", "cumulative"]
)
async def test_points_sent_again_count_once(url: str, temporality: int | None) -> None:
    point, later = points_since(time.time_ns() - 60 * SECOND, 5, 7)
    for points in ([point, point], [point], [point, later]):
        async with running(create_app(Settings(database_url=url))) as client:
            answer = await post(client, METRICS, request_of(*points, temporality=temporality))
            assert (answer.status_code, answer.content) == (HTTPStatus.OK, b"")

            total = 7 if temporality == CUMULATIVE else 12
            expected = total if later in points else 5
            assert await ask(client, VALUE, name="n") == expected


async def test_replicas_that_share_a_cumulative_series_count_each_step_once(url: str) -> None:
    start = time.time_ns() - 3_000 * SECOND
    values = range(10, 410, 10)
    requests = [request_of(p, temporality=CUMULATIVE) for p in points_since(start, *values)]
    async with (
        running(create_app(Settings(database_url=url))) as one,
        running(create_app(Settings(database_url=url))) as other,
    ):
        # Each step goes to one replica or the other, and every third to both.
        answers = await asyncio.gather(
            *(
                post(client, METRICS, request)
                for number, request in enumerate(requests)
                for client in (
                    (one, other) if number % 3 == 0 else (one,) if number % 2 else (other,)
                )
            )
        )

        assert {answer.status_code for answer in answers} == {HTTPStatus.OK}
        assert await ask(one, VALUE, name="n") == max(values)
    stored = await rows(url, "SELECT sum(total) FROM metrics.measurements")
    assert stored == [(max(values),)]


async def test_many_points_are_stored_in_parts(client: httpx.AsyncClient) -> None:
    points = points_since(time.time_ns() - 3_000 * SECOND, *[1] * 2_500)

    answer = await post(client, METRICS, request_of(*points, temporality=DELTA))

    assert answer.status_code == HTTPStatus.OK
    assert await ask(client, VALUE, name="n") == 2_500


async def test_bad_points_are_refused_by_partial_success(client: httpx.AsyncClient) -> None:
    good, nameless = (
        Metric(name=name, gauge=Gauge(data_points=points_since(time.time_ns() - 2 * SECOND, 1)))
        for name in ("n", "")
    )
    request = metrics_request([good, nameless])

    answer = await post(client, METRICS, request)

    partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_data_points) == (HTTPStatus.OK, 1)
    assert partial.error_message == "1 data points refused: 1 without a metric name"
    in_json = await client.post(METRICS, content=as_otlp_json(request), headers=JSON)
    assert in_json.json()["partialSuccess"]["rejectedDataPoints"] == "1"
    assert await ask(client, COUNT, name="n") == 1


async def test_extreme_numbers_leave_the_store_able_to_answer(client: httpx.AsyncClient) -> None:
    now = time.time_ns()
    times = {"start_time_unix_nano": now - SECOND, "time_unix_nano": now}
    enormous = HistogramDataPoint(
        **times,  # type: ignore[arg-type]
        count=1_000_000_000,
        sum=1e77,
        explicit_bounds=[-1.7e308, 1.7e308],
        bucket_counts=[400_000_000, 0, 600_000_000],
    )
    data = Histogram(data_points=[enormous], aggregation_temporality=DELTA)
    largest = NumberDataPoint(as_int=2**63 - 1, time_unix_nano=now)

    answer = await post(
        client,
        METRICS,
        metrics_request(
            [Metric(name="h", histogram=data), Metric(name="g", gauge=Gauge(data_points=[largest]))]
        ),
    )

    assert (answer.status_code, answer.content) == (HTTPStatus.OK, b"")
    assert await ask(client, COUNT, name="h") == 1_000_000_000
    assert await ask(client, VALUE, "p50", name="h") == pytest.approx(1e77, rel=0.01)
    assert await ask(client, VALUE, "max", name="g") == 2.0**63
