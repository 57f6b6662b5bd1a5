"""The read endpoints: their shape, and their numbers against counting the events that were sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import pytest_asyncio

from metrics_svc.app import create_app
from metrics_svc.domain.histogram import RELATIVE_ERROR
from metrics_svc.settings import Settings
from tests.metrics_svc import traffic
from tests.metrics_svc.traffic import Event, agrees, cost, latencies, of, percent, reasons
from windsock_kit.testing import running

READS = ("dashboard", "performance", "costs", "quality", "cache")
MINUTES = 50


@pytest_asyncio.fixture(scope="module")
async def sent(
    new_database: Callable[[], Awaitable[str]],
) -> AsyncGenerator[tuple[httpx.AsyncClient, Any]]:
    """Give a client of a service that has taken 2,000 events in, and these events."""
    url = await new_database()
    events = traffic.events(2_000, now=datetime.now(UTC), minutes=MINUTES)
    async with running(create_app(Settings(database_url=url))) as client:
        for start in range(0, 2_000, 400):
            content = {"batch_id": str(uuid4()), "events": events[start : start + 400]}
            answer = await client.post("/api/metrics/events", content=orjson.dumps(content))
            assert answer.json()["accepted"] == 400
        yield client, events


async def read(client: httpx.AsyncClient, name: str, **parameters: Any) -> Any:
    answer = await client.get(f"/api/metrics/{name}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


CORE: dict[str, Any] = {
    "performance": {
        "all_operations": {
            "count",
            "avg_ms",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "error_count",
            "error_rate_percent",
        },
        "top_operations": [{"operation", "count", "avg_ms", "p95_ms", "p99_ms"}],
    },
    "costs": {"total_cost_usd", "cache_hit_rate_percent", "projected_monthly_cost_usd"},
    "quality": {
        "avg_quality_score",
        "refinement_rate_percent",
        "first_pass_acceptance_rate_percent",
    },
    "cache": {"layers": [{"layer", "hits", "misses", "hit_rate_percent"}]},
}


def holds(told: Any, wanted: Any) -> bool:
    match wanted:
        case set():
            return bool(wanted <= told.keys())
        case [inner]:
            return bool(told) and all(holds(each, inner) for each in told)
        case dict():
            return all(holds(told[name], inner) for name, inner in wanted.items())
    raise TypeError(wanted)


async def test_dashboard_has_the_core_that_is_promised(sent: Any) -> None:
    client, _ = sent

    told = await read(client, "dashboard")

    assert holds(told, CORE)
    assert [layer["layer"] for layer in told["cache"]["layers"]] == ["l1", "l2", "prompt"]


@pytest.mark.parametrize("name", READS)
async def test_every_answer_says_what_it_is_about(sent: Any, name: str) -> None:
    client, _ = sent

    told = await read(client, name, environment="staging")

    assert told["time_window_minutes"] == 60
    assert told["filters"] == {"environment": "staging"}
    assert told["version"]
    begin, now, end = (datetime.fromisoformat(told[n]) for n in ("from", "timestamp", "to"))
    assert told["timestamp"].endswith("Z")
    assert 0 <= (end - now).total_seconds() < 10
    assert 3_600 <= (now - begin).total_seconds() < 3_610


@pytest.mark.parametrize("name", ["dashboard", "performance"])
async def test_percentiles_state_their_relative_error(sent: Any, name: str) -> None:
    client, _ = sent

    told = await read(client, name)

    assert RELATIVE_ERROR <= told["relative_error"] < RELATIVE_ERROR + 1e-5


FILTERS: list[Event] = [
    {},
    {"operation": "search"},
    {"gap_priority": "high"},
    {"environment": "staging"},
    {"operation": "answer", "gap_priority": "low", "environment": "production"},
    {"operation": "nobody"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
async def test_dashboard_counts_what_was_sent(sent: Any, filters: Event) -> None:
    client, events = sent

    told = await read(client, "dashboard", **filters)

    runs, calls = of(events, "performance", **filters), of(events, "llm_call", **filters)
    assert agrees(told["performance"]["all_operations"], latencies(runs))
    for operation in told["performance"]["top_operations"]:
        mine = of(runs, "performance", operation=operation["operation"])
        assert agrees(operation, latencies(mine))
    assert told["costs"]["calls"] == len(calls)
    assert Decimal(repr(told["costs"]["total_cost_usd"])) == cost(calls)
    judged = of(events, "quality", **filters)
    scores = [e["score"] for e in judged if "score" in e]
    refined = [e["refined"] for e in judged if "refined" in e]
    accepted = [e["accepted_first_pass"] for e in judged if "accepted_first_pass" in e]
    assert agrees(
        told["quality"],
        {
            "evaluations": len(judged),
            "scored": len(scores),
            "avg_quality_score": sum(scores) / len(scores) if scores else None,
            "refinement_rate_percent": percent(sum(refined), len(refined)),
            "first_pass_acceptance_rate_percent": percent(sum(accepted), len(accepted)),
        },
    )


async def test_performance_is_told_by_operation_priority_error_and_time(sent: Any) -> None:
    client, events = sent
    runs = of(events, "performance")

    told = await read(client, "performance")

    assert agrees(told["all_operations"], latencies(runs))
    assert {o["operation"] for o in told["operations"]} == {e["operation"] for e in runs}
    for name, field in (("operations", "operation"), ("gap_priorities", "gap_priority")):
        for group in told[name]:
            mine = [e for e in runs if e.get(field) == group[field]]
            assert agrees(group, latencies(mine))
        counts = [group["count"] for group in told[name]]
        assert counts == sorted(counts, reverse=True)
        assert sum(counts) == len(runs)
    failed = [e for e in runs if e.get("status") == "error"]
    for error in told["error_types"]:
        mine = [e for e in failed if e.get("error_type", "unknown") == error["error_type"]]
        assert error["count"] == len(mine)
        assert error["share_percent"] == percent(len(mine), len(failed))
    assert sum(error["count"] for error in told["error_types"]) == len(failed)


async def test_points_of_a_series_lie_on_steps_and_add_up(sent: Any) -> None:
    client, events = sent
    runs = of(events, "performance")

    series = (await read(client, "performance"))["series"]

    times = [datetime.fromisoformat(p["timestamp"]).timestamp() for p in series["points"]]
    assert series["step_seconds"] == 60
    assert all(at % 60 == 0 for at in times)
    assert times == [times[0] + 60 * n for n in range(len(times))]
    for at, point in zip(times, series["points"], strict=True):
        mine = [
            e for e in runs if at <= datetime.fromisoformat(e["timestamp"]).timestamp() < at + 60
        ]
        assert agrees(point, latencies(mine))
    assert sum(point["count"] for point in series["points"]) == len(runs)


async def test_costs_add_up_to_the_nano_dollar(sent: Any) -> None:
    client, events = sent
    calls = of(events, "llm_call")

    told = await read(client, "costs")

    assert Decimal(repr(told["total_cost_usd"])) == cost(calls)
    assert told["unpriced_calls"] == sum("cost_usd" not in e for e in calls)
    for name, fields in (
        ("operations", ("operation",)),
        ("providers", ("provider",)),
        ("models", ("provider", "model")),
    ):
        for group in told[name]:
            mine = [e for e in calls if all(e.get(f) == group[f] for f in fields)]
            assert group["calls"] == len(mine)
            assert Decimal(repr(group["cost_usd"])) == cost(mine)
            assert group["tokens"]["input_tokens"] == sum(e["input_tokens"] for e in mine)
        assert sum(group["calls"] for group in told[name]) == len(calls)
    points = told["series"]["points"]
    assert sum((Decimal(repr(p["cost_usd"])) for p in points), Decimal(0)) == cost(calls)
    assert sum(u["calls"] for u in told["unpriced"]) == told["unpriced_calls"]
    saved = cost(of(events, "cache"), "saved_usd")
    assert Decimal(repr(told["savings"]["application_cache_usd"])) == saved


@pytest.mark.parametrize("minutes", [60, 77, 360, 1_440])
async def test_projection_is_the_cost_of_the_window_scaled_to_thirty_days(
    sent: Any, minutes: int
) -> None:
    client, events = sent
    total = float(cost(of(events, "llm_call")))

    for told in (
        await read(client, "costs", time_window_minutes=minutes),
        (await read(client, "dashboard", time_window_minutes=minutes))["costs"],
    ):
        monthly = total * 30 * 1_440 / minutes
        assert told["projected_monthly_cost_usd"] == pytest.approx(monthly, abs=1e-8)
        assert told["projected_daily_cost_usd"] == pytest.approx(monthly / 30, abs=1e-8)
        assert told["projected_hourly_cost_usd"] == pytest.approx(monthly / 720, abs=1e-8)


async def test_quality_is_told_by_operation_priority_and_time(sent: Any) -> None:
    client, events = sent
    judged = of(events, "quality")

    told = await read(client, "quality")

    assert told["evaluations"] == len(judged)
    for name, field in (("operations", "operation"), ("gap_priorities", "gap_priority")):
        for group in told[name]:
            mine = [e for e in judged if e.get(field) == group[field]]
            scores = [e["score"] for e in mine if "score" in e]
            assert group["evaluations"] == len(mine)
            assert group["avg_quality_score"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)
            assert group["min_quality_score"] == min(scores)
            assert group["max_quality_score"] == max(scores)
    assert sum(point["evaluations"] for point in told["trend"]["points"]) == len(judged)


async def test_cache_is_told_by_layer_reason_and_operation(sent: Any) -> None:
    client, events = sent
    lookups, calls = of(events, "cache"), of(events, "llm_call")

    told = await read(client, "cache")

    everything = [(told, lookups)]
    everything += [(x, of(lookups, "cache", layer=x["layer"])) for x in told["layers"]]
    everything += [(x, of(lookups, "cache", operation=x["operation"])) for x in told["operations"]]
    for group, mine in everything:
        hits = sum(e["hit"] for e in mine)
        assert (group["hits"], group["misses"]) == (hits, len(mine) - hits)
        assert group["hit_rate_percent"] == percent(hits, len(mine))
        assert group["miss_reasons"] == reasons(mine)
        assert group["saved_ms"] == sum(e.get("saved_ms", 0) for e in mine)
        assert Decimal(repr(group["saved_usd"])) == cost(mine, "saved_usd")
    cached = sum(e["cached_input_tokens"] for e in calls)
    assert told["provider_prompt_cache"]["calls"] == len(calls)
    assert told["provider_prompt_cache"]["cached_input_tokens"] == cached


@pytest.mark.parametrize("minutes", [1, 2, 5, 10, 11, 15, 59, 60, 61, 360, 1_440, 7_201, 43_200])
@pytest.mark.parametrize("name", READS)
async def test_any_window_is_answered(sent: Any, name: str, minutes: int) -> None:
    client, events = sent

    told = await read(client, name, time_window_minutes=minutes)

    series = told.get("series") or told.get("trend")
    if series is not None:
        assert 0 < len(series["points"]) <= 130
    if name == "performance" and minutes > MINUTES + 1:
        assert told["all_operations"]["count"] == len(of(events, "performance"))


EMPTY_LATENCIES = {
    "count": 0,
    "avg_ms": None,
    "min_ms": None,
    "max_ms": None,
    "p50_ms": None,
    "p95_ms": None,
    "p99_ms": None,
    "samples": 0,
    "error_count": 0,
    "error_rate_percent": None,
}


async def test_empty_store_is_told_in_zeros_and_nulls(client: httpx.AsyncClient) -> None:
    board = await read(client, "dashboard")
    told = {name: await read(client, name) for name in READS}

    assert board["performance"] == {"all_operations": EMPTY_LATENCIES, "top_operations": []}
    assert board["costs"]["total_cost_usd"] == 0
    assert board["costs"]["cache_hit_rate_percent"] is None
    assert board["costs"]["projected_monthly_cost_usd"] == 0
    assert board["quality"]["avg_quality_score"] is None
    assert board["quality"]["refinement_rate_percent"] is None
    assert [layer["hits"] for layer in board["cache"]["layers"]] == [0, 0, 0]
    assert told["performance"]["operations"] == told["performance"]["error_types"] == []
    assert all(p["count"] == 0 for p in told["performance"]["series"]["points"])
    assert told["costs"]["models"] == told["costs"]["unpriced"] == []
    assert told["quality"]["evaluations"] == 0
    assert told["cache"]["hit_rate_percent"] is None


WRONG: list[tuple[str, str]] = [
    ("time_window_minutes=0", "time_window_minutes"),
    ("time_window_minutes=43201", "time_window_minutes"),
    ("time_window_minutes=-5", "time_window_minutes"),
    ("time_window_minutes=1.5", "time_window_minutes"),
    ("time_window_minutes=", "time_window_minutes"),
    ("time_window_minutes=%2B5", "time_window_minutes"),
    ("time_window_minutes=1_0", "time_window_minutes"),
    ("time_window_minutes=%D9%A5", "time_window_minutes"),
    ("time_window_minutes=5&time_window_minutes=6", "time_window_minutes"),
    ("time_window_minutes=99999999999999999999", "time_window_minutes"),
    ("operation=", "operation"),
    ("operation=" + "x" * 201, "operation"),
    ("operations=x", "operations"),
    ("window=60", "window"),
]


@pytest.mark.parametrize(("query", "path"), WRONG, ids=[q[:40] for q, _ in WRONG])
@pytest.mark.parametrize("name", ["dashboard", "cache"])
async def test_wrong_parameter_is_refused_with_its_name(
    sent: Any, name: str, query: str, path: str
) -> None:
    client, _ = sent

    answer = await client.get(f"/api/metrics/{name}?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["path"] == path


async def test_unknown_parameter_is_told_the_allowed_ones(sent: Any) -> None:
    client, _ = sent

    problem = (await client.get("/api/metrics/dashboard?window=60")).json()

    assert problem["allowed"] == ["time_window_minutes", "operation", "gap_priority", "environment"]
    assert "time_window_minutes" in problem["detail"]


async def test_strange_filter_values_find_nothing(sent: Any) -> None:
    client, _ = sent

    for value in ("%00", "%FF", "a'b\"c\\", "__other__"):
        answer = await client.get(f"/api/metrics/dashboard?operation={value}")

        assert answer.status_code == 200
        assert answer.json()["performance"]["all_operations"]["count"] == 0
