"""What the provider's ledger says of a mixed load is what metrics-svc says, to the token and the nano-dollar."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.adaptive_questions.bodies import PREFIX
from tests.adaptive_questions.processes import Process, running_simulator, running_workload
from tests.fixtures.stacks import EmbeddedStack

COUNTED = (
    "count",
    "errors",
    "unpriced",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_usd",
)
MODELS = (
    "gemini-2.0-flash-exp",
    "gemini-2.0-flash-lite",
    "text-embedding-004",
    "text-embedding-005",
)
SKILLS = ("Kubernetes", "Rust", "Kafka", "React", "Terraform", "Airflow", "Spark", "Swift")
PRIORITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
LANGUAGES = ("english", "german", "turkish")


def _request(rng: random.Random) -> tuple[str, dict[str, Any], dict[str, str]]:
    gaps = [
        {"skill": rng.choice(SKILLS), "priority": rng.choice(PRIORITIES)}
        for _ in range(rng.randint(1, 4))
    ]
    one = {
        "parsed_cv": {"skills": ["Docker"], "years": rng.randint(1, 3)},
        "parsed_jd": {"title": "Engineer"},
        "language": rng.choice(LANGUAGES),
        "gap": gaps[0],
    }
    name = rng.choice(("batch-generate", "generate", "generate/stream", "refine", "evaluate"))
    body = {
        "batch-generate": {**one, "gaps": gaps},
        "refine": {**one, "question": "What is it for?", "feedback": "Too broad"},
        "evaluate": {**one, "question": "What is it for?"},
    }.get(name, one)
    if name == "batch-generate":
        del body["gap"]
    return name, body, {"X-User-ID": f"user-{rng.randint(1, 40)}", "X-Session-ID": "s-1"}


async def _drive(workload: Process, *, requests: int, seed: int) -> set[int]:
    rng = random.Random(seed)
    turns = asyncio.Semaphore(12)
    statuses: set[int] = set()

    async def one(name: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        async with turns:
            answer = await client.post(f"{PREFIX}/{name}", json=body, headers=headers)
            statuses.add(answer.status_code)

    async with httpx.AsyncClient(base_url=workload.url, timeout=60) as client:
        await asyncio.gather(*(one(*_request(rng)) for _ in range(requests)))
    return statuses


async def _set_prices(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/metrics/prices")
    there = {price["model"] for price in answer.json()["prices"]}
    wanted = [
        {"model": model, "provider": "google", "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0}
        for model in MODELS[2:]
        if model not in there
    ]
    if wanted:
        prices = [*answer.json()["prices"], *wanted]
        (await client.put("/api/metrics/prices", json={"prices": prices})).raise_for_status()
        # Every process takes prices over within two seconds.
        await asyncio.sleep(3)


async def _counted(client: httpx.AsyncClient, environment: str) -> dict[str, dict[str, int]]:
    """Return what metrics-svc has of each model, money in nano-dollars."""
    queries = [
        {
            "id": name,
            "measure": f"llm_call.{name}",
            "aggregation": "sum",
            "group_by": ["model"],
            "filters": {"environment": environment},
        }
        for name in COUNTED
    ]
    asked = {"queries": queries, "time_window_minutes": 60}
    answer = (await client.post("/api/metrics/query", json=asked)).raise_for_status().json()
    counted: dict[str, dict[str, int]] = {}
    for result in answer["queries"]:
        for series in result["series"]:
            value = series["value"] * (1e9 if result["id"] == "cost_usd" else 1)
            counted.setdefault(series["group"]["model"], {})[result["id"]] = round(value)
    return counted


@pytest.mark.parametrize(
    "faults", [{}, {"error_rate": 0.3, "error_status": 500}], ids=["undisturbed", "with faults"]
)
async def test_ledger_and_metrics_agree_to_the_token_and_the_nano_dollar(
    suite: EmbeddedStack, tmp_path: Path, faults: dict[str, Any]
) -> None:
    environment = f"reconciliation-{len(faults)}"
    async with (
        httpx.AsyncClient(base_url=suite.gateway, timeout=30) as metrics,
        running_simulator(tmp_path) as simulator,
        httpx.AsyncClient(base_url=simulator.url) as provider,
    ):
        await _set_prices(metrics)
        async with running_workload(
            tmp_path, simulator, WINDSOCK_ENDPOINT=suite.gateway, WINDSOCK_ENVIRONMENT=environment
        ) as workload:
            (await provider.put("/faults", json=faults)).raise_for_status()
            statuses = await _drive(workload, requests=60, seed=7)
            workload.send(signal.SIGTERM)
            # What the process still holds is sent before it ends.
            workload.ended()
        ledger = (await provider.get("/ledger")).json()
        counted = await _counted(metrics, environment)

    assert statuses == ({200, 502} if faults else {200})
    assert bool(ledger["errors"]) == bool(faults)
    assert ledger["cut"]["calls"] == 0
    assert set(MODELS) == {model["model"] for model in ledger["models"]}
    assert counted.keys() == set(MODELS)
    for model in ledger["models"]:
        found = counted[model["model"]]
        assert found["count"] - found["errors"] == model["calls"]
        assert found["input_tokens"] == model["input_tokens"]
        assert found["cached_input_tokens"] == model["cached_input_tokens"]
        assert found["output_tokens"] == model["output_tokens"]
        assert found["cost_usd"] == model["cost_nanos"]
        assert found["unpriced"] == 0
