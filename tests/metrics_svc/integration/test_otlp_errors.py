"""What OTLP clients are told when something is wrong: the specification fixes statuses and bodies."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio
from google.rpc import status_pb2  # type: ignore[import-untyped]  # the package ships no types
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from tests.fixtures.servers import RunningPostgres
from tests.metrics_svc.integration.otlp_exports import (
    JSON,
    METRICS,
    PROTOBUF,
    TRACES,
    ask,
    new_span,
    post,
)
from tests.metrics_svc.unit.otlp_messages import as_otlp_json, trace_request
from windsock_kit.testing import running, serving

PREFIX = "/api/metrics/otlp"
PATHS = (TRACES, METRICS, PREFIX + TRACES, PREFIX + METRICS)
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE = 3, 8, 14
LIMIT = 4_096
REFUSED = 'duration_seconds_count{method="POST",route="/v1/traces",status="5xx"}'


@pytest_asyncio.fixture(scope="module")
async def client(database_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    settings = Settings(database_url=database_url, max_otlp_body_bytes=LIMIT)
    async with running(create_app(settings)) as found:
        yield found


def status_of(answer: httpx.Response) -> status_pb2.Status:
    """Read the body as the content type says."""
    if answer.headers["content-type"] == JSON["Content-Type"]:
        return status_pb2.Status(**answer.json())
    assert answer.headers["content-type"] == PROTOBUF["Content-Type"]
    return status_pb2.Status.FromString(answer.content)


@pytest.mark.parametrize("path", PATHS)
async def test_empty_export_is_a_success(client: httpx.AsyncClient, path: str) -> None:
    in_protobuf = await client.post(path, content=b"", headers=PROTOBUF)
    in_json = await client.post(path, content=b"{}", headers=JSON)

    assert (in_protobuf.status_code, in_protobuf.content) == (HTTPStatus.OK, b"")
    assert (in_json.status_code, in_json.content) == (HTTPStatus.OK, b"{}")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [PROTOBUF, JSON], ids=["protobuf", "json"])
async def test_undecodable_body_is_refused_for_good(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await client.post(path, content=b"{ broken", headers=headers)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.headers["content-type"] == headers["Content-Type"]
    assert status_of(answer).code == INVALID_ARGUMENT
    assert status_of(answer).message.startswith("malformed ")
    assert "retry-after" not in answer.headers


async def test_json_that_is_no_export_is_refused_with_the_path(client: httpx.AsyncClient) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_CLIENT"}]}]}]}

    answer = await client.post(TRACES, json=body)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    expected = "malformed OTLP/JSON: resourceSpans.scopeSpans.spans.kind must be an integer"
    assert answer.json() == {"code": INVALID_ARGUMENT, "message": expected}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc", None])
async def test_other_content_types_are_refused_in_json(
    client: httpx.AsyncClient, path: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}

    answer = await client.post(path, content=b"", headers=headers)

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert answer.headers["accept"] == "application/x-protobuf, application/json"
    assert answer.json()["code"] == INVALID_ARGUMENT
    assert "application/x-protobuf" in answer.json()["message"]


async def test_parameters_of_the_content_type_do_not_matter(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}

    answer = await client.post(TRACES, content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, {})


async def test_unknown_content_encoding_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(TRACES, content=b"x", headers=PROTOBUF | {"Content-Encoding": "br"})

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "gzip" in answer.headers["accept-encoding"]
    assert "Content-Encoding 'br' is not supported" in status_of(answer).message


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b" " * (LIMIT + 1), "identity"), (gzip.compress(b" " * (LIMIT + 1)), "gzip")],
    ids=["as sent", "decompressed"],
)
@pytest.mark.parametrize("headers", [PROTOBUF, JSON], ids=["protobuf", "json"])
async def test_body_over_the_limit_is_refused_for_good(
    client: httpx.AsyncClient, body: bytes, encoding: str, headers: dict[str, str]
) -> None:
    answer = await client.post(
        TRACES, content=body, headers=headers | {"Content-Encoding": encoding}
    )

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert status_of(answer).code == RESOURCE_EXHAUSTED
    assert f"limit of {LIMIT} bytes" in status_of(answer).message
    assert "retry-after" not in answer.headers


async def test_store_that_is_down_is_told_as_passing_and_nothing_is_lost(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_database("windsock")
    request = trace_request([new_span() for _ in range(3)])
    async with running(create_app(Settings(database_url=url))) as client:
        await post(client, TRACES, trace_request([new_span()]))
        own_postgres.stop()

        in_protobuf = await post(client, TRACES, request)
        in_json = await client.post(TRACES, content=as_otlp_json(request), headers=JSON)

        for answer in (in_protobuf, in_json):
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert int(answer.headers["retry-after"]) >= 1
            assert status_of(answer).code == UNAVAILABLE
            assert "store" in status_of(answer).message
        await own_postgres.start()
        assert (await post(client, TRACES, request)).status_code == HTTPStatus.OK
        assert await ask(client, "performance.count") == 4


def export_one_span(endpoint: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint + TRACES, timeout=20)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("app").start_span("work").end()
    provider.shutdown()


async def test_a_real_exporter_comes_back_by_itself_when_the_store_does(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_database("windsock")
    async with (
        serving(create_app(Settings(database_url=url))) as endpoint,
        httpx.AsyncClient(base_url=endpoint) as client,
    ):
        own_postgres.stop()
        exporting = asyncio.create_task(asyncio.to_thread(export_one_span, endpoint))
        async with asyncio.timeout(20):
            while REFUSED not in (await client.get("/metrics")).text:
                assert not exporting.done()

        await own_postgres.start()
        await exporting

        assert await ask(client, "performance.count", operation="work") == 1
