"""Exports as tests send them, and the questions that they ask afterwards."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import httpx
from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.metrics_svc.unit.otlp_messages import SECOND, span

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TRACES, METRICS = "/v1/traces", "/v1/metrics"
CALL: Mapping[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.output_tokens": 100,
}
_numbers = itertools.count(1)


def new_span(values: Mapping[str, object] | None = None, **fields: Any) -> Span:
    """Make a span with an id of its own that has just ended, after two seconds."""
    end = time.time_ns()
    identity = {
        "span_id": next(_numbers).to_bytes(8, "big"),
        "start_time_unix_nano": end - 2 * SECOND,
        "end_time_unix_nano": end,
    }
    return span(values, **identity | fields)


async def post(client: httpx.AsyncClient, path: str, message: Message) -> httpx.Response:
    return await client.post(path, content=message.SerializeToString(), headers=PROTOBUF)


async def ask(
    client: httpx.AsyncClient, measure: str, aggregation: str = "sum", **filters: str
) -> float:
    """Return one number of the last hour."""
    query = {"measure": measure, "aggregation": aggregation, "filters": filters}
    answer = await client.post("/api/metrics/query", json={"queries": [query]})
    assert answer.status_code == 200, answer.text
    (series,) = answer.json()["queries"][0]["series"]
    value: float = series["value"]
    return value


async def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
