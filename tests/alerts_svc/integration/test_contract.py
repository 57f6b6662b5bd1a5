"""Real answers of the running service beside openapi.yaml, and whatever schemathesis can think of asking."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from alerts_svc.app import create_app
from alerts_svc.settings import Settings
from tests.alerts_svc.api import Api, running_api
from tests.alerts_svc.services import Recorder
from tests.fixtures.contract import Contract
from tests.fixtures.servers import RunningPostgres
from windsock_kit.testing import running, serving

DOCUMENT = files("alerts_svc").joinpath("openapi.yaml").read_bytes()
CONTRACT = Contract(DOCUMENT)
PATHS: Mapping[str, Any] = CONTRACT.document["paths"]
PLAIN = sorted(path for path in PATHS if "{" not in path and "get" in PATHS[path])
RULES, SILENCES, CHANNELS = "/api/alerts/rules", "/api/alerts/silences", "/api/alerts/channels"
POSTED = [
    RULES, f"{RULES}/test", f"{RULES}/backtest", SILENCES, "/api/alerts/changes", "/api/v2/alerts",
    "/api/v2/silences",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def api(running_postgres: RunningPostgres, metrics_url: str) -> AsyncGenerator[Api]:
    """Give a service in which something has happened."""
    database = await running_postgres.new_alerts_database("alerts_api_contract")
    async with running_api(database, metrics_url) as found:
        await found.firing("Contracted", severity="critical", operation="answer_question")
        yield found


def requests_of(path: str, method: str) -> Mapping[str, Any]:
    """Return the bodies that the document has as examples, by name."""
    body = CONTRACT.resolve(PATHS[path][method]["requestBody"])
    examples = body["content"]["application/json"]["examples"]
    return {name: example["value"] for name, example in examples.items()}


@pytest.mark.parametrize("path", PLAIN)
async def test_answer_is_as_documented(api: Api, path: str) -> None:
    answer = await api.client.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", POSTED)
async def test_documented_requests_are_answered_as_documented(api: Api, path: str) -> None:
    for body in requests_of(path, "post").values():
        answer = await api.client.post(path, content=orjson.dumps(body))

        assert answer.is_success, answer.text
        assert CONTRACT.faults(answer, path) == []
    if path in PLAIN:
        assert CONTRACT.faults(await api.client.get(path), path) == []


async def test_channels_are_answered_as_documented(api: Api) -> None:
    given = {"name": "documented", "kind": "webhook", "settings": {"url": "http://127.0.0.1:8888/"}}
    one = f"{CHANNELS}/{{name}}"

    answers = [
        (CHANNELS, await api.client.post(CHANNELS, json=given)),
        (CHANNELS, await api.client.get(CHANNELS)),
        (one, await api.client.get(f"{CHANNELS}/documented")),
        (one, await api.client.put(f"{CHANNELS}/documented", json=given)),
        (f"{one}/test", await api.client.post(f"{CHANNELS}/documented/test")),
        (f"{one}/rotate-secret", await api.client.post(f"{CHANNELS}/documented/rotate-secret")),
        (one, await api.client.delete(f"{CHANNELS}/documented")),
    ]

    assert [answer.status_code for _, answer in answers] == [201, 200, 200, 200, 200, 200, 204]
    assert [CONTRACT.faults(answer, path) for path, answer in answers] == [[]] * len(answers)


async def test_an_incident_is_answered_as_documented(api: Api) -> None:
    alert = await api.firing("Documented", severity="warning")
    listed = await api.until(
        lambda: api.get("/api/alerts/deliveries", incident=alert["id"], status="sent"),
        lambda body: body["deliveries"],
    )
    one, delivery = "/api/alerts/{id}", f"/api/alerts/deliveries/{listed['deliveries'][0]['id']}"
    made = f"/api/alerts/{alert['id']}"
    by = {"by": "Ada"}

    answers = [
        (one, await api.client.get(made)),
        (f"{one}/timeline", await api.client.get(f"{made}/timeline")),
        (f"{one}/acknowledge", await api.client.post(f"{made}/acknowledge", json=by)),
        (f"{one}/acknowledge", await api.client.delete(f"{made}/acknowledge")),
        (f"{one}/close", await api.client.post(f"{made}/close", json=by)),
        ("/api/alerts/deliveries/{id}", await api.client.get(delivery)),
        ("/api/alerts/deliveries/{id}/replay", await api.client.post(f"{delivery}/replay")),
    ]

    assert [answer.status_code for _, answer in answers] == [200, 200, 202, 202, 202, 200, 202]
    assert [CONTRACT.faults(answer, path) for path, answer in answers] == [[]] * len(answers)


WRONG = [
    (RULES, "POST", {}, b"{", 400, "malformed_body"),
    (RULES, "POST", {}, b" " * (2 * 2**20 + 1), 413, "too_large"),
    (RULES, "POST", {"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
    (RULES, "POST", {}, b"{}", 422, "invalid"),
    ("/api/alerts/configuration", "PUT", {"If-Match": '"999"'}, b"{}", 412, "precondition_failed"),
    (f"{RULES}/EvaluationImpaired", "DELETE", {}, b"", 409, "conflict"),
    (f"{RULES}/None", "GET", {}, b"", 404, "not_found"),
    ("/api/alerts?colour=red", "GET", {}, b"", 422, "invalid"),
    ("/api/alerts?limit=0", "GET", {}, b"", 422, "invalid"),
    ("/api/alerts/history?from=yesterday", "GET", {}, b"", 422, "invalid"),
    ("/api/alerts/history?before=x", "GET", {}, b"", 422, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "method", "headers", "body", "status", "code"),
    WRONG,
    ids=[f"{path} {status} {number}" for number, (path, *_, status, _) in enumerate(WRONG)],
)
async def test_what_is_wrong_is_told_as_documented(
    api: Api,
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    status: int,
    code: str,
) -> None:
    answer = await api.client.request(method, path, content=body, headers=headers)

    known = path.partition("?")[0]
    template = known if known in PATHS else f"{RULES}/{{name}}"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CONTRACT.faults(answer, template) == []


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_foreign_pages_are_refused_everywhere_as_documented(api: Api, path: str) -> None:
    for method in PATHS[path]:
        answer = await api.client.request(
            method,
            path.format(name="x", id="1", token="x"),
            headers={"Origin": "https://a.example"},
        )

        assert answer.status_code == 403
        assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_other_methods_are_refused_with_the_documented_ones(api: Api, path: str) -> None:
    answer = await api.client.patch(path.format(name="x", id="1", token="x"))

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == {m.upper() for m in PATHS[path]}


async def test_document_is_served_as_it_lies_in_the_package(api: Api) -> None:
    answer = await api.client.get("/api/alerts/openapi.yaml")

    assert answer.content == DOCUMENT


# Nothing that these tell lies in the database.
ANSWER_ANYWAY = {"/api/alerts/openapi.yaml", "/api/alerts/docs", "/livez", "/metrics"}


async def test_without_the_database_every_answer_is_as_documented(
    own_postgres: RunningPostgres,
) -> None:
    settings = Settings(await own_postgres.new_alerts_database("alone"))
    async with running(create_app(settings, parts=Recorder().parts())) as client:
        own_postgres.stop()
        answers = {path: await client.get(path) for path in PLAIN}
        posted = {path: await posting(client, path) for path in (RULES, SILENCES, "/api/v2/alerts")}

    statuses = {path: answer.status_code for path, answer in answers.items()}
    assert statuses == {path: 200 if path in ANSWER_ANYWAY else 503 for path in PLAIN}
    assert {answer.status_code for answer in posted.values()} == {503}
    told = [*answers.items(), *posted.items()]
    assert [CONTRACT.faults(answer, path) for path, answer in told] == [[]] * len(told)


async def posting(client: httpx.AsyncClient, path: str) -> httpx.Response:
    body = next(iter(requests_of(path, "post").values()))
    return await client.post(path, content=orjson.dumps(body))


# Bodies have rules that no schema tells, and the pages and the languages of others take what they know.
SCHEMATHESIS = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false
negative_data_rejection.expected-statuses = [400, 404, 405, 409, 412, 415, 422, 429, "5xx"]
""" + "".join(
    f"""
[[operations]]
include-tag = "{tag}"
checks.negative_data_rejection.enabled = true
"""
    for tag in ("Alerts", "Rules", "Silences", "Channels", "Routing", "Deliveries", "Changes")
)
ARGUMENTS = (
    "--phases=examples,fuzzing", "--max-examples=8", "--seed=1", "--generation-database=none",
    "--no-color",
)  # fmt: skip


@pytest.mark.slow
async def test_whatever_is_asked_is_answered_as_documented(
    running_postgres: RunningPostgres, metrics_url: str, tmp_path: Path
) -> None:
    database = await running_postgres.new_alerts_database("alerts_api_fuzzed")
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    (tmp_path / "openapi.yaml").write_bytes(DOCUMENT)
    settings = Settings(database, metrics_url=metrics_url)

    async with serving(create_app(settings, parts=Recorder().parts())) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", f"--url={base}", *ARGUMENTS,
            cwd=tmp_path, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    operations = len(list(CONTRACT.operations()))
    assert f"Tested: {operations}\n" in output.decode()
