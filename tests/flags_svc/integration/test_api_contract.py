"""Real answers of the running service beside openapi.yaml, and whatever schemathesis can think of asking."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from flags_svc.app import create_app
from flags_svc.routes import ofrep
from flags_svc.settings import Settings
from tests.fixtures.contract import Contract
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.api import FLAGS, Api, running_api
from windsock_kit.body import read_body
from windsock_kit.testing import serving

DOCUMENT = files("flags_svc").joinpath("openapi.yaml").read_bytes()
CONTRACT = Contract(DOCUMENT)
PATHS: Mapping[str, Any] = CONTRACT.document["paths"]
# Streams end only when the client does.
STREAMS = {f"{FLAGS}/stream", "/ofrep/v1/sse"}
PLAIN = sorted(p for p in PATHS if "{" not in p and "get" in PATHS[p] and p not in STREAMS)
NAMES = {
    "flag_name": "use_batch_generation", "segment_key": "known", "environment_name": "staging", "version": "1",
    "id": "x", "name": "start.js", "key": "use_batch_generation",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def own(running_postgres: RunningPostgres) -> AsyncGenerator[Api]:
    """Give a service whose flags nobody else changes."""
    database = await running_postgres.new_flags_database("flags_api_contract")
    async with running_api(database) as found:
        await found.do("POST", "/segments", {"key": "known"}, status=201)
        yield found


def bodies_of(path: str, method: str) -> list[Any]:
    """Return the bodies that the document has as examples."""
    body = CONTRACT.resolve(PATHS[path][method].get("requestBody", {}))
    examples = body.get("content", {}).get("application/json", {}).get("examples", {})
    return [example["value"] for example in examples.values()]


@pytest.mark.parametrize("path", PLAIN)
async def test_answer_is_as_documented(own: Api, path: str) -> None:
    answer = await own.client.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


WITH_BODIES = [
    (path, method)
    for path in PATHS
    for method in ("post", "put", "patch")
    if path.startswith(FLAGS) and method in PATHS[path] and bodies_of(path, method)
]


@pytest.mark.parametrize(("path", "method"), WITH_BODIES)
async def test_documented_requests_are_answered_as_documented(
    own: Api, path: str, method: str
) -> None:
    for body in bodies_of(path, method):
        answer = await own.client.request(
            method.upper(), path.format_map(NAMES), content=orjson.dumps(body)
        )

        assert answer.is_success, answer.text
        assert CONTRACT.faults(answer, path) == []


async def test_no_body_is_waited_for_without_end(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = read_body.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", 0.1)
    monkeypatch.setattr(ofrep, "BODY_SECONDS", 0.1)

    async def half() -> AsyncGenerator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    taking = [
        (method.upper(), path)
        for path, operations in PATHS.items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "requestBody" in operation
    ]
    async with asyncio.timeout(20):
        answers = await asyncio.gather(
            *(own.client.request(method, path.format_map(NAMES), content=half())
              for method, path in taking),
            own.client.get(FLAGS),
        )  # fmt: skip

    assert [answer.status_code for answer in answers] == [*[400] * len(taking), 200]
    assert all("did not arrive within 0.1 seconds" in answer.text for answer in answers[:-1])


async def test_a_flag_s_life_is_answered_as_documented(own: Api) -> None:
    one, made = f"{FLAGS}/{{flag_name}}", f"{FLAGS}/documented"
    body = {"key": "documented", "type": "boolean"}

    answers = [
        (FLAGS, await own.client.post(FLAGS, json=body)),
        (one, await own.client.get(made)),
        (one, await own.client.get(made, headers={"If-None-Match": '"1"'})),
        (one, await own.client.put(made, json={**body, "owner": "me"})),
        (f"{one}/history", await own.client.get(f"{made}/history")),
        (f"{one}/history/{{version}}", await own.client.get(f"{made}/history/1")),
        (f"{one}/revert/{{version}}", await own.client.post(f"{made}/revert/1")),
        (f"{one}/archive", await own.client.post(f"{made}/archive")),
        (f"{one}/restore", await own.client.post(f"{made}/restore")),
        (one, await own.client.delete(made)),
        (one, await own.client.get(made)),
    ]

    statuses = [answer.status_code for _, answer in answers]
    assert statuses == [201, 200, 304, 200, 200, 200, 200, 200, 200, 204, 404]
    assert [CONTRACT.faults(answer, path) for path, answer in answers] == [[]] * len(answers)


async def test_change_requests_are_answered_as_documented(own: Api) -> None:
    requests = f"{FLAGS}/change-requests"
    await own.do("POST", "/environments", {"name": "sealed", "approvals": 1}, status=201)
    asked = await own.client.post(
        f"{FLAGS}/use_batch_generation/enable", json={"environment": "sealed"}
    )
    made = f"{requests}/{asked.json()['id']}"

    answers = [
        (f"{FLAGS}/{{flag_name}}/enable", asked),
        (f"{requests}/{{id}}", await own.client.get(made)),
        (f"{requests}/{{id}}/approve", await own.client.post(f"{made}/approve")),
        (
            f"{requests}/{{id}}/approve",
            await own.client.post(f"{made}/approve", headers={"X-Windsock-Actor": "grace"}),
        ),
        (f"{requests}/{{id}}/reject", await own.client.post(f"{made}/reject")),
        (requests, await own.client.get(requests)),
    ]

    assert [answer.status_code for _, answer in answers] == [202, 200, 409, 200, 409, 200]
    assert [CONTRACT.faults(answer, path) for path, answer in answers] == [[]] * len(answers)


@pytest.mark.parametrize(
    ("path", "method", "headers", "body", "status", "code"),
    [
        ("", "POST", {}, b"{", 400, "malformed_body"),
        ("", "POST", {}, b" " * (2**20 + 1), 413, "too_large"),
        ("", "POST", {"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
        ("", "POST", {}, b"{}", 422, "invalid"),
        ("/environments/staging", "DELETE", {}, b"", 409, "conflict"),
        ("/environments/staging", "PATCH", {"If-Match": '"999"'}, b"{}", 412, "precondition_failed"),
        ("/none", "GET", {}, b"", 404, "not_found"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_as_documented(
    own: Api, path: str, method: str, headers: Mapping[str, str], body: bytes, status: int, code: str
) -> None:  # fmt: skip
    answer = await own.client.request(method, FLAGS + path, content=body, headers=headers)

    known = {"/environments/staging": "/environments/{environment_name}", "/none": "/{flag_name}"}
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CONTRACT.faults(answer, FLAGS + known.get(path, path)) == []


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_foreign_pages_are_refused_everywhere_as_documented(own: Api, path: str) -> None:
    for method in PATHS[path].keys() & {"get", "post", "put", "patch", "delete"}:
        answer = await own.client.request(
            method.upper(), path.format_map(NAMES), headers={"Origin": "https://a.example"}
        )

        assert answer.status_code == 403
        assert CONTRACT.faults(answer, path) == []


async def test_document_is_served_as_it_lies_in_the_package(own: Api) -> None:
    answer = await own.client.get(f"{FLAGS}/openapi.yaml")

    assert answer.content == DOCUMENT


# Bodies and keys have rules that no schema tells, and OFREP takes any attribute. A stream would be read for ever.
SCHEMATHESIS = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false

[[operations]]
include-path = "/api/feature-flags/stream"
enabled = false

[[operations]]
include-path = "/ofrep/v1/sse"
enabled = false
"""
ARGUMENTS = (
    "--phases=examples,fuzzing", "--max-examples=3", "--seed=1", "--generation-database=none",
    "--no-color",
)  # fmt: skip


@pytest.mark.slow
async def test_whatever_is_asked_is_answered_as_documented(
    running_postgres: RunningPostgres, tmp_path: Path
) -> None:
    database = await running_postgres.new_flags_database("flags_api_fuzzed")
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    (tmp_path / "openapi.yaml").write_bytes(DOCUMENT)

    async with serving(create_app(Settings(database))) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", f"--url={base}", *ARGUMENTS,
            cwd=tmp_path, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    operations = len(list(CONTRACT.operations()))
    assert f"Tested: {operations - len(STREAMS)}\n" in output.decode()
