"""An application, the gateway, the service and the store together: what goes in comes out."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import Any

import httpx
import pytest

from tests.fixtures.servers import REPOSITORY
from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded.processes import wait_until


@pytest.fixture(scope="module")
def toy(suite: EmbeddedStack) -> EmbeddedStack:
    """Give the suite after the toy application has run to its end."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.suite.application"],
        cwd=REPOSITORY,
        env={**os.environ, "WINDSOCK_ENDPOINT": suite.gateway},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("3 True {}\n", "")
    return suite


def ask(suite: EmbeddedStack, endpoint: str, **parameters: object) -> Any:
    answer = httpx.get(
        f"{suite.gateway}/api/metrics/{endpoint}",
        params={"environment": "toy", **{name: str(value) for name, value in parameters.items()}},
    )
    return answer.raise_for_status().json()


def query(suite: EmbeddedStack, question: dict[str, Any], **filters: str) -> list[Any]:
    asked = {**question, "filters": {"environment": "toy", **filters}}
    answer = httpx.post(f"{suite.gateway}/api/metrics/query", json={"queries": [asked]})
    series: list[Any] = answer.raise_for_status().json()["queries"][0]["series"]
    return series


def test_dashboard_tells_of_the_whole_application(toy: EmbeddedStack) -> None:
    seen = ask(toy, "dashboard")

    everything = seen["performance"]["all_operations"]
    assert (everything["count"], everything["error_count"]) == (54, 3)
    assert everything["error_rate_percent"] == pytest.approx(100 * 3 / 54, abs=1e-4)
    assert everything["samples"] == 54
    assert len(seen["performance"]["top_operations"]) == 4
    assert seen["costs"]["total_cost_usd"] == 0.0024
    assert (seen["costs"]["calls"], seen["costs"]["unpriced_calls"]) == (16, 4)
    assert seen["costs"]["cache_hit_rate_percent"] == 25.0
    assert seen["quality"]["avg_quality_score"] == 7.0
    assert seen["cache"]["layers"][0]["hits"] == 9
    assert seen["health"]["status"] == "healthy"


def test_performance_tells_of_operations_priorities_and_errors(toy: EmbeddedStack) -> None:
    seen = ask(toy, "performance")

    operations = {row["operation"]: row for row in seen["operations"]}
    counts = {name: (row["count"], row["error_count"]) for name, row in operations.items()}
    assert counts == {"answer": (12, 0), "retrieve": (12, 0), "embed": (20, 0), "parse": (10, 3)}
    embed = operations["embed"]
    assert {
        embed[name] for name in ("min_ms", "avg_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms")
    } == {20.0}
    priorities = {row["gap_priority"]: row["count"] for row in seen["gap_priorities"]}
    assert priorities == {"HIGH": 12, "LOW": 12, None: 30}
    assert [(e["error_type"], e["count"]) for e in seen["error_types"]] == [("ValueError", 3)]
    assert sum(point["count"] for point in seen["series"]["points"]) == 54


def test_a_block_lasts_at_least_as_long_as_the_blocks_in_it(toy: EmbeddedStack) -> None:
    operations = {row["operation"]: row for row in ask(toy, "performance")["operations"]}

    assert 0 < operations["retrieve"]["avg_ms"] < operations["answer"]["avg_ms"] < 10_000


def test_costs_are_exact_by_model_and_class_of_token(toy: EmbeddedStack) -> None:
    seen = ask(toy, "costs")

    # 8 calls of 1,000 and 100 tokens, and 4 with 400 of them cached.
    assert seen["total_cost_usd"] == 0.0024
    assert seen["cache_savings_usd"] == 0.00012
    assert seen["tokens"]["input_tokens"] == 12_200
    assert seen["tokens"]["cached_input_tokens"] == 1_600
    assert seen["tokens"]["output_tokens"] == 1_200
    models = {row["model"]: (row["calls"], row["cost_usd"]) for row in seen["models"]}
    assert models["gpt-4o-mini"] == (12, 0.0024)
    assert models["a-model-of-our-own"][0] == 4
    assert [(row["model"], row["calls"]) for row in seen["unpriced"]] == [("a-model-of-our-own", 4)]
    assert sum(point["calls"] for point in seen["series"]["points"]) == 16


def test_quality_is_exact(toy: EmbeddedStack) -> None:
    seen = ask(toy, "quality")

    assert (seen["evaluations"], seen["scored"]) == (12, 12)
    assert (seen["min_quality_score"], seen["avg_quality_score"]) == (6.0, 7.0)
    assert seen["refinement_rate_percent"] == 50.0
    assert seen["first_pass_acceptance_rate_percent"] == 25.0
    assert ask(toy, "quality", gap_priority="HIGH")["refinement_rate_percent"] == 0.0


def test_cache_is_exact(toy: EmbeddedStack) -> None:
    seen = ask(toy, "cache")

    assert (seen["hits"], seen["misses"], seen["hit_rate_percent"]) == (9, 3, 75.0)
    assert seen["miss_reasons"]["cold"] == 3
    assert seen["saved_ms"] == 45.0
    assert seen["provider_prompt_cache"]["cached_input_tokens"] == 1_600


def test_health_tells_of_the_servers_behind_it(toy: EmbeddedStack) -> None:
    seen = ask(toy, "health")

    assert seen["status"] == "healthy"
    assert {c["target"]: c["status"] for c in seen["components"]} == {
        "postgresql": "up",
        "redis": "up",
        "llm-simulator": "up",
        "adaptive-questions": "up",
    }
    assert seen["store"]["status"] == "up"


def test_flags_of_the_context_divide_the_numbers(toy: EmbeddedStack) -> None:
    by_variant = query(
        toy,
        {"measure": "llm_call.count", "aggregation": "sum", "group_by": ["variant"]},
        flag_key="prompt",
    )
    exposures = query(toy, {"measure": "exposure.count", "aggregation": "sum"})

    counts = {series["group"]["variant"]: series["value"] for series in by_variant}
    assert {name: counts[name] for name in ("terse", "long")} == {"terse": 6, "long": 6}
    assert exposures[0]["value"] == 12


def test_an_accepted_event_is_in_the_next_answer(suite: EmbeddedStack) -> None:
    operation = f"fresh {uuid.uuid4()}"
    event = {
        "type": "performance",
        "operation": operation,
        "duration_ms": 7.0,
        "environment": "toy-2",
    }

    def counted() -> bool:
        seen = ask(suite, "dashboard", operation=operation, environment="toy-2")
        return bool(seen["performance"]["all_operations"]["count"] == 1)

    batch = {"batch_id": str(uuid.uuid4()), "events": [event]}
    sent = httpx.post(f"{suite.gateway}/api/metrics/events", json=batch)

    assert sent.json()["accepted"] == 1
    assert wait_until(counted, 1.0)


def test_spans_of_an_exporter_arrive_through_the_gateway_compressed(suite: EmbeddedStack) -> None:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": suite.gateway,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=toy-otel,windsock.flag.prompt=long",
    }

    subprocess.run(
        [sys.executable, "-m", "tests.suite.exporting"],
        cwd=REPOSITORY,
        env=environment,
        timeout=60,
        check=True,
    )

    seen = ask(suite, "dashboard", environment="toy-otel")
    assert seen["performance"]["all_operations"]["count"] == 20
    assert seen["costs"]["total_cost_usd"] == 0.0036
    assert seen["costs"]["calls"] == 20
