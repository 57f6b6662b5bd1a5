"""Traces over HTTP, from a real OpenTelemetry SDK and by hand, into a real store."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from decimal import Decimal
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from tests.metrics_svc.integration.otlp_exports import (
    CALL,
    JSON,
    TRACES,
    ask,
    new_span,
    post,
    rows,
)
from tests.metrics_svc.unit.otlp_messages import as_otlp_json, trace_request
from windsock_kit.testing import running, serving

NewDatabase = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest_asyncio.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with running(create_app(Settings(database_url=url))) as found:
        yield found


def export_a_conversation(endpoint: str, compression: Compression) -> bool:
    """Do what an instrumented application does, and say whether its exporter was content."""
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": "answers", "deployment.environment.name": "test"}
        ),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=compression)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("app")
    with (
        tracer.start_as_current_span("POST /ask", attributes={"windsock.gap_priority": "high"}),
        tracer.start_as_current_span("chat gpt-4o") as call,
    ):
        call.set_attributes(CALL)
        call.set_attribute("gen_ai.usage.cache_read.input_tokens", 600)
        call.set_attribute("gen_ai.input.messages", "never to be stored")
    content = provider.force_flush()
    provider.shutdown()
    return content


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_spans_of_a_real_sdk_are_counted_and_priced(
    url: str, compression: Compression
) -> None:
    async with (
        serving(create_app(Settings(database_url=url))) as endpoint,
        httpx.AsyncClient(base_url=endpoint) as client,
    ):
        assert await asyncio.to_thread(export_a_conversation, endpoint, compression)

        assert await ask(client, "performance.count", environment="test") == 2
        assert await ask(client, "performance.count", operation="POST /ask") == 1
        assert await ask(client, "llm_call.input_tokens", model="gpt-4o") == 1_000
        # 400 at $2.50, 600 cached at $1.25 and 100 at $10 a million.
        expected = pytest.approx(0.00275, abs=1e-12)
        assert await ask(client, "llm_call.cost_usd", provider="openai") == expected
    ((cost, attributes),) = await rows(url, "SELECT cost_nanos, attributes FROM metrics.llm_calls")
    assert cost == Decimal("0.00275") * 10**9
    assert "never to be stored" not in attributes


@pytest.mark.parametrize("path", [TRACES, "/api/metrics/otlp/v1/traces"])
async def test_json_written_by_hand_is_stored(client: httpx.AsyncClient, path: str) -> None:
    found = new_span()
    body = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "5B8EFFF798038103D269B633813FC60C",
                                "spanId": "eee19b7ec3c1b174",
                                "name": "embed",
                                "startTimeUnixNano": str(found.start_time_unix_nano),
                                "endTimeUnixNano": found.end_time_unix_nano,
                                "kind": 3,
                                "status": {"code": 2, "message": "no answer"},
                                "attributes": [
                                    {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
                                    {
                                        "key": "gen_ai.request.model",
                                        "value": {"stringValue": "text-embedding-3-small"},
                                    },
                                    {
                                        "key": "gen_ai.usage.prompt_tokens",
                                        "value": {"intValue": "12"},
                                    },
                                ],
                                "unknownField": {"of": ["a later version"]},
                            }
                        ]
                    }
                ]
            }
        ]
    }

    answer = await client.post(path, json=body)

    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, {})
    assert answer.headers["content-type"] == "application/json"
    assert await ask(client, "performance.errors", operation="embed") == 1
    assert await ask(client, "llm_call.input_tokens", provider="openai") == 12


async def test_export_sent_again_counts_once_also_after_a_restart(url: str) -> None:
    request = trace_request([new_span(CALL), new_span()])
    for _ in range(2):
        async with running(create_app(Settings(database_url=url))) as client:
            for _ in range(2):
                answer = await post(client, TRACES, request)
                assert (answer.status_code, answer.content) == (HTTPStatus.OK, b"")

    async with running(create_app(Settings(database_url=url))) as client:
        assert await ask(client, "performance.count") == 2
        assert await ask(client, "llm_call.count") == 1
        told = (await client.get("/metrics")).text
    assert 'metrics_otlp_duplicates_total{signal="spans"}' not in told
    assert await rows(url, "SELECT count(*) FROM metrics.performance") == [(2,)]


async def test_known_spans_of_an_export_do_not_cost_the_new_ones(client: httpx.AsyncClient) -> None:
    first, second, third = new_span(CALL), new_span(CALL), new_span(CALL)
    await post(client, TRACES, trace_request([first, second]))

    await post(client, TRACES, trace_request([second, third, third]))

    assert await ask(client, "performance.count") == 3
    assert await ask(client, "llm_call.output_tokens") == 300
    told = (await client.get("/metrics")).text
    assert 'metrics_otlp_duplicates_total{signal="spans"} 1.0' in told


async def test_replicas_that_get_the_same_spans_at_once_count_them_once(url: str) -> None:
    spans = [new_span(CALL) for _ in range(200)]
    exports = []
    for seed in range(6):
        shuffled = spans.copy()
        random.Random(seed).shuffle(shuffled)
        exports.append(trace_request(shuffled))
    async with (
        running(create_app(Settings(database_url=url))) as one,
        running(create_app(Settings(database_url=url))) as other,
    ):
        answers = await asyncio.gather(
            *(post(client, TRACES, export) for client in (one, other) for export in exports)
        )

        assert {answer.status_code for answer in answers} == {HTTPStatus.OK}
        assert await ask(one, "llm_call.count") == 200
        assert await ask(other, "performance.count") == 200
    assert await rows(url, "SELECT count(*) FROM metrics.llm_calls") == [(200,)]


async def test_large_export_is_stored_whole_and_others_are_answered_meanwhile(
    client: httpx.AsyncClient,
) -> None:
    large = as_otlp_json(trace_request([new_span(CALL) for _ in range(3_000)]))
    export = asyncio.create_task(
        client.post(
            TRACES, content=gzip.compress(large), headers=JSON | {"Content-Encoding": "gzip"}
        )
    )

    while_it_runs = 0
    while not export.done():
        await asyncio.sleep(0)
        assert (await client.get("/livez")).status_code == HTTPStatus.OK
        while_it_runs += not export.done()

    assert (await export).status_code == HTTPStatus.OK
    assert while_it_runs >= 6
    assert await ask(client, "llm_call.count") == 3_000


async def test_bad_spans_are_refused_by_partial_success_and_the_good_ones_stored(
    client: httpx.AsyncClient,
) -> None:
    request = trace_request([new_span(), new_span(span_id=b""), new_span(end_time_unix_nano=1)])

    answer = await post(client, TRACES, request)

    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["content-type"] == "application/x-protobuf"
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 2
    assert partial.error_message == (
        "2 spans refused: 1 without a valid span id; 1 ended before they started"
    )
    assert await ask(client, "performance.count") == 1
    in_json = await client.post(TRACES, content=as_otlp_json(request), headers=JSON)
    assert in_json.json()["partialSuccess"]["rejectedSpans"] == "2"
    told = (await client.get("/metrics")).text
    assert 'metrics_otlp_refused_total{reason="without a valid span id",signal="spans"} 2.0' in told
