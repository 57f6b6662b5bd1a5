"""The workload as a process, with its provider as another, asked as a user would ask it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from adaptive_questions.app import create_app
from adaptive_questions.settings import Settings
from tests.adaptive_questions.bodies import BRIEF, GAP, ONE, PREFIX, batch_of
from tests.adaptive_questions.events import events_in
from tests.adaptive_questions.processes import Process, running_simulator, running_workload
from tests.faults.service import until
from tests.fixtures.contract import Contract
from tests.sdk.receiver import Receiver, receiving
from windsock_kit.testing import running

CONTRACT = Contract(files("adaptive_questions").joinpath("openapi.yaml").read_bytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest_asyncio.fixture(scope="module")
async def simulator(folder: Path) -> AsyncGenerator[Process]:
    async with running_simulator(folder) as process:
        yield process


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Give what the SDK of the workload sends to."""
    with receiving() as receiver:
        yield receiver


@pytest_asyncio.fixture(scope="module")
async def process(
    folder: Path, simulator: Process, redis_url: str, receiver: Receiver
) -> AsyncGenerator[Process]:
    others = {"QUESTIONS_REDIS_URL": redis_url, "WINDSOCK_ENDPOINT": receiver.url}
    async with running_workload(folder, simulator, **others) as process:
        yield process


@pytest_asyncio.fixture
async def workload(process: Process) -> Process:
    """Give the workload, started again if a test has ended it."""
    if not process.runs:
        await process.start()
    return process


@pytest_asyncio.fixture
async def client(workload: Process) -> AsyncGenerator[httpx.AsyncClient]:
    async with workload.client() as client:
        yield client


@pytest_asyncio.fixture
async def provider(simulator: Process) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of the simulator, whose faults are over when the test is."""
    async with simulator.client() as client:
        yield client
        (await client.delete("/faults")).raise_for_status()


async def test_batch_is_answered_as_documented_and_from_the_cache_when_asked_again(
    client: httpx.AsyncClient,
) -> None:
    path = f"{PREFIX}/batch-generate"
    body = {**batch_of("Kubernetes", "Terraform", "Kubernetes"), "language": "german"}

    first = await client.post(path, json=body)
    again = await client.post(path, json=body)

    assert (first.status_code, again.status_code) == (200, 200)
    assert CONTRACT.faults(first, path) == CONTRACT.faults(again, path) == []
    kubernetes, terraform, repeated = first.json()["questions"]
    assert kubernetes["question"] == repeated["question"] != terraform["question"]
    assert first.json()["summary"]["generated"] == 3
    assert again.json()["summary"]["served"] == {"l1": 3, "l2": 0, "shared": 0, "new": 0}
    assert [each["question"] for each in again.json()["questions"]] == [
        each["question"] for each in first.json()["questions"]
    ]


@pytest.mark.parametrize("language", ["english", "turkish"])
async def test_gap_is_answered_refined_and_evaluated_as_documented(
    client: httpx.AsyncClient, language: str
) -> None:
    body = {**ONE, "gap": {"skill": "Rust", "priority": "LOW"}, "language": language}

    question = "What do you know about Rust?"
    about = {**body, "question": question}

    generated = await client.post(f"{PREFIX}/generate", json=body)
    refined = await client.post(f"{PREFIX}/refine", json={**about, "feedback": "Too broad"})
    judged = await client.post(f"{PREFIX}/evaluate", json=about)
    answered = await client.post(f"{PREFIX}/evaluate", json={**about, "answer": "With care."})

    answers = {"generate": generated, "refine": refined, "evaluate": judged}
    for name, answer in answers.items():
        assert (answer.status_code, CONTRACT.faults(answer, f"{PREFIX}/{name}")) == (200, [])
    assert CONTRACT.faults(answered, f"{PREFIX}/evaluate") == []
    assert "Rust" in refined.json()["question"]["text"]
    assert judged.json()["evaluation"] != answered.json()["evaluation"]


async def test_stream_tells_the_nodes_the_words_and_the_answer(client: httpx.AsyncClient) -> None:
    body = {**ONE, "gap": {"skill": "Haskell", "priority": "LOW"}}

    async with client.stream("POST", f"{PREFIX}/generate/stream", json=body) as answer:
        events = [event async for event in events_in(answer.aiter_text())]
    whole = await client.post(f"{PREFIX}/generate", json=body)

    names = [event.name for event in events]
    assert [event.number for event in events] == [str(1 + n) for n in range(len(events))]
    assert names[-2:] == ["question", "done"]
    nodes = [event.json()["node"] for event in events if event.name == "progress"]
    assert nodes[:3] == ["start", "parse_gap", "batch_generate"]
    assert {"embed_gap", "search_similar_questions", "generate_question"} < set(nodes)
    assert nodes[-1] == "finalize"
    words = "".join(event.json()["text"] for event in events if event.name == "delta")
    assert orjson.loads(words)["questions"][0]["skill"] == "Haskell"
    assert events[-2].json() == whole.json() | {"served": "new"}
    assert whole.json()["served"] == "l1"


WRONG: list[Any] = [
    (b"", 400, None),
    (b'{"gaps": [{"skill"', 400, None),
    (b"[" * 100_000, 400, None),
    (b'"' + b"x" * 2**20 + b'"', 413, None),
    (orjson.dumps({**BRIEF, "gaps": []}), 422, "gaps"),
    (orjson.dumps({**BRIEF, "gaps": [GAP] * 51}), 422, "gaps"),
    (orjson.dumps({**BRIEF, "gaps": [GAP, {"skill": "Go"}]}), 422, "gaps[1].priority"),
    (orjson.dumps({**BRIEF, "gaps": [{**GAP, "skill": " "}]}), 422, "gaps[0].skill"),
    (orjson.dumps({**BRIEF, "gaps": [GAP], "language": "elvish"}), 422, "language"),
    (orjson.dumps({"gaps": [GAP], "parsed_cv": {}}), 422, "parsed_jd"),
    (orjson.dumps({**BRIEF, "gaps": [GAP], "urgent": True}), 422, "urgent"),
]


@pytest.mark.parametrize(
    ("body", "status", "path"), WRONG, ids=[str(number) for number in range(len(WRONG))]
)
async def test_bad_batch_is_refused_with_its_path_and_nothing_is_asked(
    client: httpx.AsyncClient,
    provider: httpx.AsyncClient,
    body: bytes,
    status: int,
    path: str | None,
) -> None:
    before = (await provider.get("/ledger")).json()["calls"]

    answer = await client.post(f"{PREFIX}/batch-generate", content=body)

    assert (answer.status_code, answer.json().get("path")) == (status, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await provider.get("/ledger")).json()["calls"] == before


FAULTS: list[Any] = [
    ("outage", {"outage": True}, 503, "provider_unreachable"),
    # One that the client does not try again; an outage is.
    ("errors", {"error_rate": 1.0, "error_status": 400}, 502, "provider_error"),
    ("limits", {"error_rate": 1.0, "error_status": 429}, 503, "rate_limited"),
]


@pytest.mark.parametrize(("name", "faults", "status", "code"), FAULTS, ids=[f[0] for f in FAULTS])
async def test_fault_of_the_provider_is_told_and_over_when_it_is_over(
    client: httpx.AsyncClient,
    provider: httpx.AsyncClient,
    name: str,
    faults: dict[str, object],
    status: int,
    code: str,
) -> None:
    path = f"{PREFIX}/batch-generate"
    body = batch_of(f"{name} of one kind", f"{name} of another")
    known = f"{name} that is known"
    assert (await client.post(path, json=batch_of(known))).status_code == 200
    (await provider.put("/faults", json=faults)).raise_for_status()

    failed, partly = await asyncio.gather(
        client.post(path, json=body),
        client.post(path, json=batch_of(known, f"{name} of a third kind")),
    )
    (await provider.delete("/faults")).raise_for_status()
    after = await client.post(path, json=body)

    assert (failed.status_code, failed.json()["code"]) == (status, code)
    assert CONTRACT.faults(failed, path) == []
    assert [each["error"]["code"] for each in failed.json()["errors"]] == [code, code]
    assert float(failed.headers.get("retry-after", 1)) >= 1
    assert partly.status_code == 200
    assert [each["status"] for each in partly.json()["questions"]] == ["ok", "error"]
    assert (after.status_code, after.json()["summary"]["generated"]) == (200, 2)


async def test_stream_that_the_provider_cuts_ends_in_a_failure_and_counts_as_one(
    client: httpx.AsyncClient, provider: httpx.AsyncClient, receiver: Receiver
) -> None:
    body = {**ONE, "gap": {"skill": "Cut streams", "priority": "LOW"}}
    (await provider.put("/faults", json={"cut_stream_rate": 1.0})).raise_for_status()

    async with client.stream("POST", f"{PREFIX}/generate/stream", json=body) as answer:
        events = [event async for event in events_in(answer.aiter_text())]

    assert [event.name for event in events[-2:]] == ["failure", "done"]
    assert events[-2].json()["error"]["code"] == "provider_unreachable"
    assert events[-1].json()["status"] == "error"

    def recorded() -> list[dict[str, Any]]:
        route = f"POST {PREFIX}/generate/stream"
        return [e for e in receiver.events if e["operation"] == route and "error_type" in e]

    async def arrived() -> bool:
        return bool(recorded())

    await until(arrived, "the request is recorded")
    assert [event["error_type"] for event in recorded()] == ["provider_unreachable"]


async def test_provider_that_is_not_there_is_told(unmeasured: None) -> None:
    nobody = Settings(openai_base_url="http://127.0.0.1:1/v1")

    async with running(create_app(nobody)) as client:
        ready = await client.get("/readyz")
        answer = await client.post(f"{PREFIX}/generate", json=ONE)

    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unreachable")
    assert answer.headers["retry-after"] == "2"


async def test_without_redis_everything_answers(simulator: Process, unmeasured: None) -> None:
    settings = Settings(openai_base_url=f"{simulator.url}/v1", redis_url="redis://127.0.0.1:1/0")

    async with running(create_app(settings)) as client:
        answers = [await client.post(f"{PREFIX}/generate", json=ONE) for _ in range(2)]

    assert [(each.status_code, each.json()["served"]) for each in answers] == [
        (200, "new"),
        (200, "l1"),
    ]


WARM = [f"A known skill {number}" for number in range(50)]
COLD = [f"A new skill {number}" for number in range(20)]


async def test_two_hundred_batches_at_once_make_no_call_twice(
    workload: Process, provider: httpx.AsyncClient
) -> None:
    path = f"{PREFIX}/batch-generate"
    batches = [
        batch_of(*(WARM[(7 * n + k) % len(WARM)] for k in range(9)), COLD[n % len(COLD)])
        for n in range(200)
    ]
    async with workload.client(timeout=60, most=None) as client:
        assert (await client.post(path, json=batch_of(*WARM))).is_success
        before = (await provider.get("/ledger")).json()

        answers = await asyncio.gather(*(client.post(path, json=batch) for batch in batches))

    after = (await provider.get("/ledger")).json()
    assert {answer.status_code for answer in answers} == {200}
    summaries = [answer.json()["summary"] for answer in answers]
    assert sum(summary["failed"] for summary in summaries) == 0
    served = Counter[str]()
    for summary in summaries:
        served.update(summary["served"])
    assert served["l1"] + served["l2"] >= 0.8 * served.total() == 0.8 * 2000
    assert served["new"] == len(COLD)
    assert after["duplicate_calls"] == before["duplicate_calls"]
    assert after["errors"] == before["errors"]


async def at_work(client: httpx.AsyncClient, count: int) -> None:
    """Wait until so many requests are at work."""

    async def are() -> bool:
        shown = (await client.get("/metrics")).text
        return f"questions_requests_at_work {count}.0" in shown

    await until(are, f"{count} requests are at work")


SLOW = {"slow_first_token_factor": 300.0}


async def test_killed_workload_comes_back_with_the_shared_cache(
    workload: Process, client: httpx.AsyncClient, provider: httpx.AsyncClient
) -> None:
    path = f"{PREFIX}/generate"
    before = await client.post(path, json=ONE)
    (await provider.put("/faults", json=SLOW)).raise_for_status()
    lost = {**ONE, "gap": {"skill": "Lost", "priority": "LOW"}}
    under_way = asyncio.create_task(client.post(path, json=lost))
    await at_work(client, 1)

    workload.kill()
    with pytest.raises(httpx.TransportError):
        await under_way
    (await provider.delete("/faults")).raise_for_status()
    await workload.start()
    after = await client.post(path, json=ONE)
    again = await client.post(path, json=lost)

    assert after.json() == before.json() | {"served": "l2"}
    assert (again.status_code, again.json()["served"]) == (200, "new")


# The last one, so that the process need not be started again for another.
async def test_sigterm_lets_requests_end_and_sends_what_was_recorded(
    workload: Process, client: httpx.AsyncClient, provider: httpx.AsyncClient, receiver: Receiver
) -> None:
    (await provider.put("/faults", json=SLOW)).raise_for_status()
    headers = {"X-Session-ID": "the last one"}
    stream = client.stream(
        "POST",
        f"{PREFIX}/generate/stream",
        json={**ONE, "gap": {"skill": "Ends as a stream", "priority": "LOW"}},
        headers=headers,
    )
    whole = asyncio.create_task(
        client.post(f"{PREFIX}/batch-generate", json=batch_of("Ends as a whole"), headers=headers)
    )
    async with stream as answer:
        events = events_in(answer.aiter_text())
        first = await anext(events)
        await at_work(client, 2)

        workload.send(signal.SIGTERM)
        names = [event.name async for event in events]
    batch = await whole

    assert (first.name, names[-2:]) == ("progress", ["question", "done"])
    assert (batch.status_code, batch.json()["summary"]["generated"]) == (200, 1)
    assert await asyncio.to_thread(workload.ended) == -signal.SIGTERM
    sent = [event for event in receiver.events if event.get("session_id") == "the last one"]
    runs = Counter(event["operation"] for event in sent if event["type"] == "performance")
    assert runs["finalize"] == 2
    assert runs[f"POST {PREFIX}/batch-generate"] == runs[f"POST {PREFIX}/generate/stream"] == 1
