"""Real answers beside openapi.yaml."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import httpx
import pytest

from tests.fixtures.contract import Contract
from tests.llm_simulator.simulators import CHAT, HELLO, Simulator, simulating

CONTRACT = Contract(files("llm_simulator").joinpath("openapi.yaml").read_bytes())


def bodies(path: str, method: str) -> list[Any]:
    """Return the bodies that the document has as examples."""
    content = CONTRACT.document["paths"][path][method]["requestBody"]["content"]
    return [example["value"] for example in content["application/json"]["examples"].values()]


EXAMPLES = [
    (path, method, body)
    for path, method in (
        ("/v1/chat/completions", "post"),
        ("/v1/embeddings", "post"),
        ("/faults", "put"),
    )
    for body in bodies(path, method)
]


@pytest.mark.parametrize(("path", "method", "body"), EXAMPLES, ids=str)
async def test_documented_request_is_answered_as_documented(
    simulator: Simulator, path: str, method: str, body: Any
) -> None:
    await simulator.http.delete("/faults")

    answer = await simulator.http.request(method, path, json=body)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


PATHS = [
    "/v1/models", "/ledger", "/parameters", "/faults", "/livez", "/readyz", "/metrics",
    "/openapi.yaml", "/docs",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_answer_is_as_documented(simulator: Simulator, path: str) -> None:
    answer = await simulator.http.get(path)

    assert answer.status_code == 200
    assert CONTRACT.faults(answer, path) == []


async def test_ledger_of_every_kind_of_call_is_as_documented() -> None:
    async with simulating() as simulator:
        chat = {"model": CHAT, "messages": HELLO}
        await simulator.http.post("/v1/chat/completions", json=chat)
        await simulator.http.post("/v1/chat/completions", json={})
        await simulator.faults(cut_stream_rate=1, for_seconds=60)
        with pytest.raises(httpx.RemoteProtocolError):
            await simulator.http.post("/v1/chat/completions", json=chat | {"stream": True})
        answers = [
            (await simulator.http.get("/faults"), "/faults"),
            (await simulator.http.get("/ledger"), "/ledger"),
            (await simulator.http.delete("/ledger"), "/ledger"),
        ]

    assert [CONTRACT.faults(answer, path) for answer, path in answers] == [[], [], []]
    assert answers[1][0].json()["cut"]["calls"] == 1


async def test_refusals_are_as_documented() -> None:
    chat = "/v1/chat/completions"
    async with simulating(requests_per_minute=1, max_body_bytes=200) as simulator:
        http = simulator.http
        model = {"model": CHAT, "messages": HELLO}
        answers = [
            (await http.post(chat, json=model | {"n": 2}), chat, 400),
            (await http.post(chat, json=model | {"model": "gpt-7"}), chat, 404),
            (await http.post(chat, content=b" " * 201), chat, 413),
            (await http.post(chat, content=b"", headers={"Content-Encoding": "br"}), chat, 415),
            (await http.post(chat, json=model), chat, 200),
            (await http.post(chat, json=model), chat, 429),
            (await http.put("/faults", json={"outage": True}), "/faults", 200),
            (await http.post(chat, json=model), chat, 503),
            (await http.put("/faults", json={"error_rate": 1}), "/faults", 200),
            (await http.post(chat, json=model), chat, 500),
            (await http.put("/faults", json={"error_rate": 2}), "/faults", 422),
            (await http.put("/faults", content=b"{"), "/faults", 400),
            (await http.put("/faults", content=b" " * 10_001), "/faults", 413),
            (await http.put("/faults", headers={"Content-Encoding": "br"}), "/faults", 415),
            (await http.get("/ledger", headers={"Host": "example.com"}), "/ledger", 403),
            (await http.get("/docs/none.js"), "/docs/{name}", 404),
        ]

    assert [answer.status_code for answer, _, _ in answers] == [status for *_, status in answers]
    assert [CONTRACT.faults(answer, path) for answer, path, _ in answers] == [[]] * len(answers)


async def test_own_metrics_tell_of_the_calls() -> None:
    async with simulating() as simulator:
        await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        await simulator.http.post("/v1/chat/completions", json={})
        lines = (await simulator.http.get("/metrics")).text.splitlines()

    assert f'simulator_calls_total{{model="{CHAT}",outcome="answered"}} 1.0' in lines
    assert 'simulator_calls_refused_total{status="400"} 1.0' in lines
    assert "simulator_queue_duration_seconds_count 1.0" in lines
    assert "simulator_slots_busy 0.0" in lines
