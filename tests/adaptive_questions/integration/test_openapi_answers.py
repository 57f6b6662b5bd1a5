"""Real answers beside openapi.yaml, and whatever schemathesis can think of asking."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from adaptive_questions.app import create_app
from adaptive_questions.domain.result import WorkloadError
from adaptive_questions.settings import Settings
from adaptive_questions.wire.problems import FAILURES
from tests.adaptive_questions.bodies import BODIES, PREFIX, batch_of
from tests.adaptive_questions.scripted import ScriptedQuestions
from tests.fixtures.contract import Contract
from windsock_kit.testing import running, serving

DOCUMENT = files("adaptive_questions").joinpath("openapi.yaml").read_bytes()
CONTRACT = Contract(DOCUMENT)
OTHERS = [f"{PREFIX}/openapi.yaml", f"{PREFIX}/docs", "/livez", "/readyz", "/metrics"]
EXAMPLES = [
    (path, name, example["value"])
    for path, method, operation in CONTRACT.operations()
    if method == "POST"
    for name, example in CONTRACT.resolve(operation["requestBody"])["content"]["application/json"][
        "examples"
    ].items()
]


@pytest.mark.parametrize("path", OTHERS)
async def test_what_runs_the_service_is_answered_as_documented(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [(path, body) for path, _, body in EXAMPLES],
    ids=[f"{path} {name}" for path, name, _ in EXAMPLES],
)
@pytest.mark.parametrize("with_cards", [False, True])
async def test_documented_bodies_are_answered_as_documented(
    client: httpx.AsyncClient,
    questions: ScriptedQuestions,
    path: str,
    body: Any,
    with_cards: bool,
) -> None:
    questions.with_cards = with_cards

    answer = await client.post(path, json=body)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


async def test_batch_with_failures_is_answered_as_documented(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    path = f"{PREFIX}/batch-generate"
    questions.failing = {failure.code: WorkloadError(failure.code, "so") for failure in FAILURES}

    some = await client.post(path, json=batch_of("Rust", "Go", *questions.failing))
    none = await client.post(path, json=batch_of(*questions.failing))

    assert (some.status_code, none.status_code) == (200, 503)
    assert CONTRACT.faults(some, path) == CONTRACT.faults(none, path) == []


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("code", [failure.code for failure in FAILURES])
async def test_failures_of_the_provider_are_told_as_documented(
    client: httpx.AsyncClient, questions: ScriptedQuestions, name: str, code: str
) -> None:
    questions.refusal = WorkloadError(code, "the provider is not well", 1.5)
    questions.failing["Kubernetes"] = questions.refusal

    answer = await client.post(f"{PREFIX}/{name}", json=BODIES[name])

    assert CONTRACT.faults(answer, f"{PREFIX}/{name}") == []


WRONG: list[Any] = [
    ({}, b'{"gap', 400, "malformed_body"),
    ({"Content-Encoding": "gzip"}, b"no gzip", 400, "malformed_body"),
    ({}, b"[" * 10_000, 400, "malformed_body"),
    ({}, b" " * (2**20 + 1), 413, "too_large"),
    ({}, b'{"parsed_cv": {"n": [' + b"0," * 60_000 + b"0]}}", 413, "too_large"),
    ({"Content-Encoding": "br"}, b"{}", 415, "unsupported_encoding"),
    ({}, b"{}", 422, "invalid"),
    ({}, b"[]", 422, "invalid"),
]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("headers", "body", "status", "code"), WRONG, ids=[str(number) for number in range(len(WRONG))]
)
async def test_what_is_wrong_is_told_as_documented(
    client: httpx.AsyncClient,
    name: str,
    headers: Mapping[str, str],
    body: bytes,
    status: int,
    code: str,
) -> None:
    answer = await client.post(f"{PREFIX}/{name}", content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CONTRACT.faults(answer, f"{PREFIX}/{name}") == []


@pytest.mark.parametrize("name", BODIES)
async def test_header_that_is_no_name_is_refused_as_documented(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.post(
        f"{PREFIX}/{name}", json=BODIES[name], headers={"X-User-ID": "u" * 201}
    )

    assert (answer.status_code, answer.json()["path"]) == (422, "X-User-ID")
    assert CONTRACT.faults(answer, f"{PREFIX}/{name}") == []


@pytest.mark.parametrize("name", [name for name in BODIES if name != "generate/stream"])
async def test_what_takes_too_long_or_is_too_much_is_told_as_documented(
    questions: ScriptedQuestions, unmeasured: None, name: str
) -> None:
    questions.let_go = asyncio.Event()
    settings = Settings(request_timeout_seconds=0.3, max_requests=1)
    path = f"{PREFIX}/{name}"
    async with running(create_app(settings, questions.opened)) as client:
        first = asyncio.create_task(client.post(path, json=BODIES[name]))
        await questions.begun.wait()

        busy = await client.post(path, json=BODIES[name])
        late = await first

    assert (busy.status_code, late.status_code) == (503, 504)
    assert CONTRACT.faults(busy, path) == CONTRACT.faults(late, path) == []


async def test_process_that_is_not_ready_says_so_as_documented(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    questions.is_ready = False

    answer = await client.get("/readyz")

    assert (answer.status_code, CONTRACT.faults(answer, "/readyz")) == (503, [])


@pytest.mark.parametrize("path", sorted(CONTRACT.document["paths"]))
async def test_foreign_pages_are_refused_everywhere_as_documented(
    client: httpx.AsyncClient, path: str
) -> None:
    for method in CONTRACT.document["paths"][path]:
        answer = await client.request(
            method, path.format(name="x"), headers={"Origin": "https://example.com"}
        )

        assert answer.status_code == 403
        assert CONTRACT.faults(answer, path) == []


@pytest.mark.parametrize("path", sorted(CONTRACT.document["paths"]))
async def test_other_methods_are_refused_with_the_documented_ones(
    client: httpx.AsyncClient, path: str
) -> None:
    documented = {method.upper() for method in CONTRACT.document["paths"][path]}

    answer = await client.delete(path.format(name="x"))

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == documented
    assert CONTRACT.errors("#/components/schemas/Problem", answer.json()) == []


async def test_file_that_is_not_there_is_told_as_documented(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PREFIX}/docs/none.js")

    assert (answer.status_code, CONTRACT.faults(answer, f"{PREFIX}/docs/{{name}}")) == (404, [])


async def test_document_is_served_as_it_lies_in_the_package(client: httpx.AsyncClient) -> None:
    path = f"{PREFIX}/openapi.yaml"

    answer = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})

    assert answer.content == DOCUMENT
    assert (again.status_code, CONTRACT.faults(again, path)) == (304, [])


ARGUMENTS = (
    "--phases=examples,fuzzing", "--max-examples=3", "--seed=1", "--generation-database=none",
    "--no-color",
)  # fmt: skip


async def test_every_problem_is_one_by_the_document(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{PREFIX}/none", content=orjson.dumps({}))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert CONTRACT.errors("#/components/schemas/Problem", answer.json()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
async def test_whatever_is_asked_is_answered_as_documented(
    questions: ScriptedQuestions, tmp_path: Path
) -> None:
    (tmp_path / "openapi.yaml").write_bytes(DOCUMENT)

    async with serving(create_app(Settings(), questions.opened)) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", f"--url={base}", *ARGUMENTS,
            cwd=tmp_path, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    operations = len(list(CONTRACT.operations()))
    assert f"Tested: {operations}\n" in output.decode()
