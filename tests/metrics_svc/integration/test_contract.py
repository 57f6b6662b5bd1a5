"""Real answers of the running service beside openapi.yaml, and whatever schemathesis can think of asking."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from metrics_svc.app import create_app
from metrics_svc.domain.measure import MEASURES
from metrics_svc.settings import Settings
from metrics_svc.wire.query import MAX_QUERIES
from tests.fixtures.contract import Contract
from tests.fixtures.servers import RunningPostgres
from windsock_kit.testing import running, serving

DOCUMENT = files("metrics_svc").joinpath("openapi.yaml").read_bytes()
CONTRACT = Contract(DOCUMENT)
READS = [
    f"/api/metrics/{name}"
    for name in ("dashboard", "performance", "costs", "quality", "cache", "health")
]
OTHERS = [
    "/api/metrics/measures",
    "/api/metrics/prices",
    "/api/metrics/prices/versions",
    "/api/metrics/openapi.yaml",
    "/api/metrics/docs",
    "/livez",
    "/readyz",
    "/metrics",
]
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module")
async def empty(new_database: Callable[[], Awaitable[str]]) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of a service to which nothing was ever sent."""
    settings = Settings(await new_database(), probes="nobody=tcp://127.0.0.1:1")
    async with running(create_app(settings)) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def client(new_database: Callable[[], Awaitable[str]]) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of a service that has taken in the document's own examples."""
    async with running(create_app(Settings(await new_database()))) as client:
        for batch in requests_of("/api/metrics/events", "post").values():
            answer = await client.post("/api/metrics/events", content=orjson.dumps(batch))
            assert answer.json()["rejected"] == []
        yield client


def requests_of(path: str, method: str) -> Mapping[str, Any]:
    """Return the bodies that the document has as examples, by name."""
    body = CONTRACT.resolve(CONTRACT.document["paths"][path][method]["requestBody"])
    examples = body["content"]["application/json"]["examples"]
    return {name: example["value"] for name, example in examples.items()}


@pytest.mark.parametrize("path", [*READS, *OTHERS])
async def test_answer_about_an_empty_store_is_as_documented(
    empty: httpx.AsyncClient, path: str
) -> None:
    answer = await empty.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", [*READS, *OTHERS])
async def test_answer_after_events_is_as_documented(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("minutes", [1, 5, 60, 1440, 43200])
async def test_answer_with_every_parameter_is_as_documented(
    client: httpx.AsyncClient, path: str, minutes: int
) -> None:
    asked: dict[str, str | int] = {
        "time_window_minutes": minutes,
        "operation": "answer_question",
        "gap_priority": "high",
        "environment": "production",
    }

    answer = await client.get(path, params=asked)

    assert CONTRACT.faults(answer, path) == []
    assert answer.json()["filters"] == {
        name: value for name, value in asked.items() if name != "time_window_minutes"
    }


@pytest.mark.parametrize("name", requests_of("/api/metrics/events", "post"))
async def test_batch_sent_again_is_answered_as_documented(
    client: httpx.AsyncClient, name: str
) -> None:
    batch = requests_of("/api/metrics/events", "post")[name]

    answer = await client.post("/api/metrics/events", content=orjson.dumps(batch))

    assert CONTRACT.faults(answer, "/api/metrics/events") == []
    assert answer.json() == {"accepted": 0, "duplicate": True, "rejected": []}


async def test_rejected_events_are_told_as_documented(client: httpx.AsyncClient) -> None:
    batch = {
        "batch_id": "7b0d3c51-9f5e-4a7e-8a57-4b1f6a1f5b90",
        "events": [{"type": "quality", "operation": "a", "score": 11}, 7, {"type": "none"}],
    }

    answer = await client.post("/api/metrics/events", content=orjson.dumps(batch))

    assert CONTRACT.faults(answer, "/api/metrics/events") == []
    assert [rejected["index"] for rejected in answer.json()["rejected"]] == [0, 1, 2]


@pytest.mark.parametrize("name", requests_of("/api/metrics/query", "post"))
async def test_documented_queries_are_answered_as_documented(
    client: httpx.AsyncClient, name: str
) -> None:
    query = requests_of("/api/metrics/query", "post")[name]

    answer = await client.post("/api/metrics/query", content=orjson.dumps(query))

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, "/api/metrics/query") == []


@pytest.mark.parametrize("step", [None, 600])
async def test_every_measure_and_dimension_is_answered_as_documented(
    client: httpx.AsyncClient, step: int | None
) -> None:
    every = [
        {"measure": name, "aggregation": aggregation, "group_by": [dimension]}
        for name, measure in MEASURES.items()
        for aggregation, dimension in product(
            ("avg", "rate", "p95" if measure.counter is None else "sum"), measure.kind.dimensions
        )
    ]

    for start in range(0, len(every), MAX_QUERIES):
        query = {"queries": every[start : start + MAX_QUERIES], "step_seconds": step}
        answer = await client.post("/api/metrics/query", content=orjson.dumps(query))

        assert answer.status_code == 200
        assert CONTRACT.faults(answer, "/api/metrics/query") == []


async def test_prices_are_told_as_documented(client: httpx.AsyncClient) -> None:
    prices = requests_of("/api/metrics/prices", "put")["two"]
    reprice = requests_of("/api/metrics/prices/reprice", "post")["try"]
    base = "/api/metrics/prices"

    answers = [
        (base, await client.put(base, content=orjson.dumps(prices))),
        (base, await client.get(base)),
        (base, await client.get(base, params={"model": "text-embedding-004"})),
        (base, await client.get(base, params={"model": "gpt-4o-mini", "provider": "openai"})),
        (base, await client.get(base, params={"model": "unheard-of"})),
        (f"{base}/versions", await client.get(f"{base}/versions")),
        (f"{base}/versions/{{version}}", await client.get(f"{base}/versions/1")),
        (f"{base}/reprice", await client.post(f"{base}/reprice", content=orjson.dumps(reprice))),
    ]

    assert [(answer.status_code, CONTRACT.faults(answer, path)) for path, answer in answers] == [
        (200, [])
    ] * len(answers)


@pytest.mark.parametrize("path", ["/v1/traces", "/api/metrics/otlp/v1/metrics"])
@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 200), ("application/x-protobuf", 400), ("text/plain", 415)],
)
async def test_otlp_is_answered_as_documented(
    client: httpx.AsyncClient, path: str, content_type: str, status: int
) -> None:
    (body,) = requests_of(path, "post").values()

    answer = await client.post(
        path, content=orjson.dumps(body), headers={"Content-Type": content_type}
    )

    assert answer.status_code == status
    assert CONTRACT.faults(answer, path) == []


EVENTS, QUERY, PRICES = "/api/metrics/events", "/api/metrics/query", "/api/metrics/prices"
WRONG = [
    (EVENTS, "POST", {}, b'{"batch_id', 400, "malformed_body"),
    (EVENTS, "POST", {"Content-Encoding": "gzip"}, b"no gzip", 400, "malformed_body"),
    (EVENTS, "POST", {}, b" " * (8 * 2**20 + 1), 413, "too_large"),
    (EVENTS, "POST", {"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
    (EVENTS, "POST", {}, b"{}", 422, "invalid"),
    (QUERY, "POST", {}, b"[", 400, "malformed_body"),
    (QUERY, "POST", {}, b" " * (2**20 + 1), 413, "too_large"),
    (QUERY, "POST", {"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
    (QUERY, "POST", {}, b'{"queries": []}', 422, "invalid"),
    (QUERY, "POST", {}, b'{"queries": 5, "step', 400, "malformed_body"),
    (PRICES, "PUT", {}, b'{"prices": 5, "set', 400, "malformed_body"),
    (PRICES, "PUT", {"If-Match": '"another"'}, b'{"prices": []}', 412, "precondition_failed"),
    (PRICES, "PUT", {"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
    (PRICES, "PUT", {}, b'{"prices": [{}]}', 422, "invalid"),
    (f"{PRICES}/reprice", "POST", {}, b"{", 400, "malformed_body"),
    (f"{PRICES}/reprice", "POST", {}, b" " * 20_000, 413, "too_large"),
    (f"{PRICES}/reprice", "POST", {}, b"{}", 422, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "method", "headers", "body", "status", "code"),
    WRONG,
    ids=[f"{path} {status} {number}" for number, (path, *_, status, _) in enumerate(WRONG)],
)
async def test_what_is_wrong_is_told_as_documented(
    client: httpx.AsyncClient,
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    status: int,
    code: str,
) -> None:
    answer = await client.request(method, path, content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", [*READS, PRICES, f"{PRICES}/versions"])
async def test_unknown_parameter_is_refused_as_documented(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, params={"windowMinutes": 5})

    assert (answer.status_code, answer.json()["path"]) == (422, "windowMinutes")
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize(
    "path", ["/api/metrics/prices/versions/{version}", "/api/metrics/docs/{name}"]
)
async def test_what_is_not_there_is_told_as_documented(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path.format(version=2_000_000_000, name="none.js"))

    assert answer.status_code == 404
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", sorted(CONTRACT.document["paths"]))
async def test_foreign_pages_are_refused_everywhere_as_documented(
    client: httpx.AsyncClient, path: str
) -> None:
    for method in CONTRACT.document["paths"][path]:
        answer = await client.request(
            method, path.format(name="x", version=1), headers={"Origin": "https://example.com"}
        )

        assert answer.status_code == 403
        assert CONTRACT.faults(answer, path) == []


async def test_unknown_address_is_a_problem_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/metrics/none")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert CONTRACT.errors("#/components/schemas/Problem", answer.json()) == []


@pytest.mark.parametrize("path", sorted(CONTRACT.document["paths"]))
async def test_other_methods_are_refused_with_the_documented_ones(
    client: httpx.AsyncClient, path: str
) -> None:
    documented = {method.upper() for method in CONTRACT.document["paths"][path]}

    answer = await client.delete(path.format(name="x", version=1))

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == documented
    assert CONTRACT.errors("#/components/schemas/Problem", answer.json()) == []


async def test_document_is_served_as_it_lies_in_the_package(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/metrics/openapi.yaml")
    again = await client.get(
        "/api/metrics/openapi.yaml", headers={"If-None-Match": answer.headers["etag"]}
    )

    assert answer.content == DOCUMENT
    assert (again.status_code, CONTRACT.faults(again, "/api/metrics/openapi.yaml")) == (304, [])


async def test_without_the_database_every_answer_is_as_documented(
    own_postgres: RunningPostgres,
) -> None:
    settings = Settings(await own_postgres.new_database("windsock"))
    (trace,) = requests_of("/v1/traces", "post").values()
    expected = {path: 503 for path, _, _ in CONTRACT.operations() if path not in ANSWER_ANYWAY}
    expected["/api/metrics/health"] = 200
    del expected["/api/metrics/docs/{name}"], expected["/api/metrics/otlp/v1/metrics"]
    async with running(create_app(settings)) as client:
        own_postgres.stop()

        answers = {
            path: await client.get(path.format(version=1))
            for path in expected
            if "get" in CONTRACT.document["paths"][path]
        }
        for path in (EVENTS, QUERY, f"{PRICES}/reprice"):
            body = next(iter(requests_of(path, "post").values()))
            answers[path] = await client.post(path, content=orjson.dumps(body))
        for path in ("/v1/traces", "/api/metrics/otlp/v1/traces"):
            answers[path] = await client.post(path, content=orjson.dumps(trace), headers=JSON)

    statuses = {path: answer.status_code for path, answer in answers.items()}
    assert statuses == {path: expected[path] for path in statuses}
    assert [CONTRACT.faults(answer, path) for path, answer in answers.items()] == [[]] * len(
        answers
    )


# Nothing that these tell lies in the database.
ANSWER_ANYWAY = {
    "/api/metrics/measures",
    "/api/metrics/openapi.yaml",
    "/api/metrics/docs",
    "/livez",
    "/metrics",
}


# Their bodies have rules that no schema tells, and what is wrong in one event costs only that event.
SCHEMATHESIS = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false

[[operations]]
include-tag = "Reading"
checks.positive_data_acceptance.enabled = true
checks.negative_data_rejection.enabled = true
"""


ARGUMENTS = (
    "--phases=examples,fuzzing", "--max-examples=20", "--seed=1", "--generation-database=none",
    "--no-color",
)  # fmt: skip


@pytest.mark.slow
async def test_whatever_is_asked_is_answered_as_documented(
    new_database: Callable[[], Awaitable[str]], tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    (tmp_path / "openapi.yaml").write_bytes(DOCUMENT)

    async with serving(create_app(Settings(await new_database()))) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", f"--url={base}", *ARGUMENTS,
            cwd=tmp_path, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    operations = len(list(CONTRACT.operations()))
    assert f"Tested: {operations}\n" in output.decode()
