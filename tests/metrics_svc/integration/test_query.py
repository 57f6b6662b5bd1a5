"""``POST /api/metrics/query``: every aggregation against counting the events that were sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import orjson
import pytest
import pytest_asyncio

from metrics_svc.app import create_app
from metrics_svc.domain.histogram import RELATIVE_ERROR
from metrics_svc.settings import Settings
from tests.metrics_svc import traffic
from tests.metrics_svc.traffic import Event, of
from windsock_kit.testing import running

PATH = "/api/metrics/query"
SECONDS = 3_600


@pytest_asyncio.fixture(scope="module")
async def sent(
    new_database: Callable[[], Awaitable[str]],
) -> AsyncGenerator[tuple[httpx.AsyncClient, Any]]:
    """Give a client of a service that has taken 1,500 events in, and these events."""
    events = traffic.events(1_500, now=datetime.now(UTC), minutes=50, seed=2)
    async with running(create_app(Settings(database_url=await new_database()))) as client:
        content = {"batch_id": str(uuid4()), "events": events}
        answer = await client.post("/api/metrics/events", content=orjson.dumps(content))
        assert answer.json()["accepted"] == 1_500
        yield client, events


async def ask(client: httpx.AsyncClient, *queries: Any, **rest: Any) -> Any:
    answer = await client.post(PATH, content=orjson.dumps({"queries": queries, **rest}))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def value(client: httpx.AsyncClient, measure: str, aggregation: str, **rest: Any) -> Any:
    told = await ask(client, {"measure": measure, "aggregation": aggregation, **rest})
    (series,) = told["queries"][0]["series"]
    assert series["group"] == {}
    return series["value"]


def durations(events: list[Event]) -> Any:
    return np.array([e["duration_ms"] for e in of(events, "performance")])


EXACT: dict[str, Callable[[Any], float]] = {
    "count": len,
    "sum": np.sum,
    "avg": np.mean,
    "min": np.min,
    "max": np.max,
    "stddev": np.std,
}


@pytest.mark.parametrize("aggregation", EXACT)
async def test_aggregation_of_a_value_is_exact(sent: Any, aggregation: str) -> None:
    client, events = sent

    told = await value(client, "performance.duration_ms", aggregation)

    assert told == pytest.approx(EXACT[aggregation](durations(events)), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("percentile", ["p0", "p1", "p50", "p95", "p99", "p99.9", "p100"])
async def test_percentile_is_within_its_error(sent: Any, percentile: str) -> None:
    client, events = sent

    told = await value(client, "performance.duration_ms", percentile)

    exact = np.quantile(durations(events), float(percentile[1:]) / 100)
    assert told == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-6)


async def test_rate_is_by_second_of_the_time_that_has_passed(sent: Any) -> None:
    client, events = sent

    by_value = await value(client, "performance.duration_ms", "rate")
    by_counter = await value(client, "performance.errors", "rate")

    # The window reaches outward by less than a bucket.
    runs = of(events, "performance")
    assert by_value == pytest.approx(len(runs) / SECONDS, rel=0.003)
    errors = len(of(runs, "performance", status="error"))
    assert by_counter == pytest.approx(errors / SECONDS, rel=0.003)


async def test_counter_is_summed_counted_and_averaged_by_event(sent: Any) -> None:
    client, events = sent
    calls = of(events, "llm_call")
    total = sum(e["input_tokens"] for e in calls)

    told = [await value(client, "llm_call.input_tokens", a) for a in ("sum", "count", "avg")]

    assert told == [total, len(calls), pytest.approx(total / len(calls), abs=1e-6)]


async def test_money_is_told_in_dollars(sent: Any) -> None:
    client, events = sent

    told = await value(client, "llm_call.cost_usd", "sum")

    assert told == float(traffic.cost(of(events, "llm_call")))


async def test_ratio_of_nothing_to_something_is_zero(client: httpx.AsyncClient) -> None:
    events = [
        {"type": "performance", "operation": "runs", "duration_ms": 1},
        {"type": "performance", "operation": "both", "duration_ms": 1},
        {"type": "llm_call", "operation": "both"},
        {"type": "llm_call", "operation": "calls"},
    ]
    content = {"batch_id": str(uuid4()), "events": events}
    await client.post("/api/metrics/events", content=orjson.dumps(content))
    ratio = {"measure": "llm_call.count", "aggregation": "ratio", "group_by": ["operation"]}

    told = await ask(client, ratio | {"denominator": "performance.count"})

    found = {s["group"]["operation"]: s["value"] for s in told["queries"][0]["series"]}
    assert found == {"runs": 0.0, "both": 1.0}


async def test_small_money_is_told_to_the_nano_dollar(client: httpx.AsyncClient) -> None:
    events = [{"type": "llm_call", "operation": "x", "cost_usd": 0.000000002}] * 3
    content = {"batch_id": str(uuid4()), "events": events}
    await client.post("/api/metrics/events", content=orjson.dumps(content))

    assert await value(client, "llm_call.cost_usd", "sum") == 0.000000006
    assert await value(client, "llm_call.cost_usd", "avg") == 0.000000002


async def test_counts_are_of_events_and_not_in_the_unit_of_the_values(sent: Any) -> None:
    client, _ = sent

    told = await ask(client, {"measure": "performance.duration_ms", "aggregation": "count"})

    assert told["queries"][0]["unit"] == "events"


async def test_ratio_divides_sums_of_one_kind_or_of_two(sent: Any) -> None:
    client, events = sent
    runs, calls = of(events, "performance"), of(events, "llm_call")

    within = await value(client, "performance.errors", "ratio", denominator="performance.count")
    across = await ask(
        client,
        {
            "measure": "llm_call.cost_usd",
            "aggregation": "ratio",
            "denominator": "performance.count",
            "group_by": ["operation"],
        },
    )

    failed = of(runs, "performance", status="error")
    assert within == pytest.approx(len(failed) / len(runs), abs=1e-6)
    found = across["queries"][0]
    assert found["unit"] == "usd/events"
    for series in found["series"]:
        operation = series["group"]["operation"]
        cost = float(traffic.cost(of(calls, "llm_call", operation=operation)))
        number = len(of(runs, "performance", operation=operation))
        assert series["value"] == pytest.approx(cost / number, abs=1e-6)


async def test_ratio_to_nothing_is_null(sent: Any) -> None:
    client, _ = sent

    told = await value(
        client,
        "performance.errors",
        "ratio",
        denominator="performance.count",
        filters={"operation": "nobody"},
    )

    assert told is None


async def test_groups_are_every_combination_that_occurred(sent: Any) -> None:
    client, events = sent
    runs = of(events, "performance")

    told = await ask(
        client,
        {
            "measure": "performance.count",
            "aggregation": "sum",
            "group_by": ["operation", "gap_priority", "operation"],
        },
    )

    found = {
        (s["group"]["operation"], s["group"]["gap_priority"]): s["value"]
        for s in told["queries"][0]["series"]
    }
    expected: dict[Any, int] = {}
    for e in runs:
        key = (e["operation"], e.get("gap_priority"))
        expected[key] = expected.get(key, 0) + 1
    assert found == expected


FILTERS: list[tuple[dict[str, Any], Callable[[Event], bool]]] = [
    ({"operation": "search"}, lambda e: e["operation"] == "search"),
    ({"operation": ["search", "rank"]}, lambda e: e["operation"] in {"search", "rank"}),
    ({"gap_priority": None}, lambda e: "gap_priority" not in e),
    ({"gap_priority": [None, "low"]}, lambda e: e.get("gap_priority") in {None, "low"}),
    (
        {"gap_priority": "high", "environment": "staging"},
        lambda e: e.get("gap_priority") == "high" and e["environment"] == "staging",
    ),
    ({"error_type": "Timeout"}, lambda e: e.get("error_type") == "Timeout"),
    ({"error_type": None}, lambda e: e.get("status") != "error"),
    (
        {"flag_key": "ranker", "variant": "a"},
        lambda e: e.get("flags", {}).get("ranker") == "a",
    ),
    ({"flag_key": "cache"}, lambda e: "cache" in e.get("flags", {})),
    ({"operation": "nobody"}, lambda _: False),
]


@pytest.mark.parametrize(("filters", "passes"), FILTERS, ids=[str(f) for f, _ in FILTERS])
async def test_filters_let_through_what_they_name(
    sent: Any, filters: Any, passes: Callable[[Event], bool]
) -> None:
    client, events = sent

    told = await value(client, "performance.count", "sum", filters=filters)

    assert told == sum(passes(e) for e in of(events, "performance"))


async def test_variants_of_a_flag_are_told_apart(sent: Any) -> None:
    client, events = sent

    told = await ask(
        client,
        {
            "measure": "performance.duration_ms",
            "aggregation": "avg",
            "group_by": ["variant"],
            "filters": {"flag_key": "ranker"},
        },
    )

    found = {s["group"]["variant"]: s["value"] for s in told["queries"][0]["series"]}
    for variant in "ab":
        mine = [
            e["duration_ms"]
            for e in of(events, "performance")
            if e.get("flags", {}).get("ranker") == variant
        ]
        assert found[variant] == pytest.approx(np.mean(mine), abs=1e-6)


@pytest.mark.parametrize("step", [10, 70, 300, 600, 3_600, 86_400])
async def test_points_of_a_step_are_what_lay_in_it(sent: Any, step: int) -> None:
    client, events = sent
    runs = of(events, "performance")

    told = await ask(
        client,
        {"measure": "performance.duration_ms", "aggregation": "max"},
        {"measure": "performance.count", "aggregation": "sum"},
        step_seconds=step,
    )

    assert told["step_seconds"] == step
    greatest, counts = (q["series"][0]["points"] for q in told["queries"])
    for most, number in zip(greatest, counts, strict=True):
        start = datetime.fromisoformat(most["timestamp"])
        assert start.timestamp() % step == 0
        mine = [
            e["duration_ms"]
            for e in runs
            if start <= datetime.fromisoformat(e["timestamp"]) < start + timedelta(seconds=step)
        ]
        assert number["value"] == len(mine)
        assert most["value"] == (pytest.approx(max(mine), abs=1e-6) if mine else None)
    assert sum(point["value"] for point in counts) == len(runs)


async def test_from_and_to_bound_the_window_outward(sent: Any) -> None:
    client, events = sent
    now = datetime.now(UTC).replace(second=3, microsecond=0)
    begin, end = now - timedelta(minutes=40), now - timedelta(minutes=12)

    told = await ask(
        client,
        {"measure": "performance.count", "aggregation": "sum"},
        **{"from": begin.isoformat(), "to": end.isoformat()},
    )

    assert datetime.fromisoformat(told["from"]) == begin.replace(second=0)
    assert datetime.fromisoformat(told["to"]) == end.replace(second=10)
    mine = [
        e
        for e in of(events, "performance")
        if begin.replace(second=0)
        <= datetime.fromisoformat(e["timestamp"])
        < end.replace(second=10)
    ]
    assert told["queries"][0]["series"][0]["value"] == len(mine)


async def test_several_queries_are_answered_in_order_and_by_id(sent: Any) -> None:
    client, events = sent

    told = await ask(
        client,
        {"measure": "performance.duration_ms", "aggregation": "avg", "id": "speed"},
        {"measure": "performance.duration_ms", "aggregation": "p95"},
        {"measure": "quality.score", "aggregation": "avg", "group_by": ["operation"]},
        time_window_minutes=120,
    )

    assert [q["id"] for q in told["queries"]] == ["speed", "q1", "q2"]
    assert told["queries"][1]["series"][0]["samples"] == len(of(events, "performance"))
    assert len(told["queries"][2]["series"]) == len(traffic.OPERATIONS)
    assert told["relative_error"] >= RELATIVE_ERROR


async def test_nothing_is_zero_or_null(client: httpx.AsyncClient) -> None:
    aggregations = ("count", "sum", "rate", "avg", "min", "max", "stddev", "p99")
    told = await ask(
        client, *({"measure": "quality.score", "aggregation": a} for a in aggregations)
    )
    grouped = await ask(
        client,
        {"measure": "quality.score", "aggregation": "p50", "group_by": ["operation"]},
        {
            "measure": "quality.count",
            "aggregation": "ratio",
            "denominator": "cache.count",
            "group_by": ["operation"],
        },
        step_seconds=60,
    )

    assert [q["series"][0]["value"] for q in told["queries"]] == [0, 0, 0, *[None] * 5]
    assert [q["series"] for q in grouped["queries"]] == [[], []]


async def test_everything_listed_can_be_asked(sent: Any) -> None:
    client, _ = sent
    listed = (await client.get("/api/metrics/measures")).json()["measures"]

    for measure in listed:
        queries = [
            {"measure": measure["measure"], "aggregation": aggregation}
            for aggregation in [*measure["aggregations"], "p12.5"]
            if aggregation != "ratio" and " " not in aggregation
        ]
        if "p0 to p100" not in "".join(measure["aggregations"]):
            queries.pop()
        ratio = {"aggregation": "ratio", "denominator": measure["measure"]}
        queries += [{"measure": measure["measure"], **ratio, "group_by": measure["dimensions"][:9]}]
        told = await ask(client, *queries)
        assert len(told["queries"]) == len(queries)


async def test_series_beyond_what_can_be_read_are_refused(sent: Any) -> None:
    client, _ = sent
    query = {"measure": "performance.count", "aggregation": "sum"}
    body = {
        "queries": [
            {**query, "group_by": ["operation", "gap_priority", "environment", "error_type"]}
        ],
        "time_window_minutes": 300,
        "step_seconds": 10,
    }

    answer = await client.post(PATH, content=orjson.dumps(body))

    assert answer.status_code == 422
    assert answer.json()["path"] == "queries"


def query(**changes: Any) -> dict[str, Any]:
    return {"queries": [{"measure": "performance.duration_ms", "aggregation": "avg"} | changes]}


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


TEXT_OF_AGGREGATIONS = "p0 to p100, such as p95 or p99.9"
WRONG: dict[str, tuple[Any, str]] = {
    "no queries": ({}, "queries"),
    "empty queries": ({"queries": []}, "queries"),
    "too many queries": ({"queries": query()["queries"] * 101}, "queries"),
    "queries no list": ({"queries": {}}, "queries"),
    "list": ([], ""),
    "unknown field": (query() | {"x": 1}, "x"),
    "unknown field inside": (query(x=1), "queries[0].x"),
    "unknown measure": (query(measure="performance.speed"), "queries[0].measure"),
    "no measure": ({"queries": [{"aggregation": "avg"}]}, "queries[0].measure"),
    "unknown aggregation": (query(aggregation="mode"), "queries[0].aggregation"),
    "description of aggregations": (
        query(aggregation=TEXT_OF_AGGREGATIONS),
        "queries[0].aggregation",
    ),
    "percentile over 100": (query(aggregation="p100.1"), "queries[0].aggregation"),
    "negative percentile": (query(aggregation="p-1"), "queries[0].aggregation"),
    "percentile of a counter": (
        query(measure="performance.errors", aggregation="p95"),
        "queries[0].aggregation",
    ),
    "ratio alone": (query(aggregation="ratio"), "queries[0].denominator"),
    "denominator alone": (query(denominator="performance.count"), "queries[0].denominator"),
    "unknown denominator": (
        query(aggregation="ratio", denominator="x"),
        "queries[0].denominator",
    ),
    "unknown group": (query(group_by=["model"]), "queries[0].group_by"),
    "group of the numerator alone": (
        query(aggregation="ratio", denominator="cache.count", group_by=["error_type"]),
        "queries[0].group_by",
    ),
    "unknown filter": (query(filters={"model": "x"}), "queries[0].filters"),
    "filter without values": (query(filters={"operation": []}), "queries[0].filters[...]"),
    "filter of a number": (query(filters={"operation": 1}), "queries[0].filters[...]"),
    "same id twice": (
        {"queries": [query(id="a")["queries"][0], query(id="a")["queries"][0]]},
        "queries[1].id",
    ),
    "no minutes": (query() | {"time_window_minutes": 0}, "time_window_minutes"),
    "too many minutes": (query() | {"time_window_minutes": 43_201}, "time_window_minutes"),
    "minutes as bool": (query() | {"time_window_minutes": True}, "time_window_minutes"),
    "minutes and from": (
        query() | {"time_window_minutes": 5, "from": ago(5)},
        "time_window_minutes",
    ),
    "to alone": (query() | {"to": ago(5)}, "from"),
    "from after to": (query() | {"from": ago(5), "to": ago(6)}, "from"),
    "from equals to": (
        query() | {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"},
        "from",
    ),
    "from in the future": (query() | {"from": "2999-01-01T00:00:00Z"}, "from"),
    "both in the future": (
        query() | {"from": "2999-01-01T00:00:00Z", "to": "2999-01-02T00:00:00Z"},
        "from",
    ),
    "from before time": (query() | {"from": "0001-01-01T00:00:00Z"}, "from"),
    "from without offset": (query() | {"from": "2020-01-01T00:00:00"}, "from"),
    "too long": (query() | {"from": ago(401 * 1_440)}, "from"),
    "step of no bucket": (query() | {"step_seconds": 15}, "step_seconds"),
    "step of nothing": (query() | {"step_seconds": 0}, "step_seconds"),
    "too many steps": (
        query() | {"step_seconds": 10, "time_window_minutes": 400},
        "step_seconds",
    ),
    "step too fine so far back": (
        query() | {"step_seconds": 30, "from": ago(5 * 1_440), "to": ago(5 * 1_440 - 60)},
        "step_seconds",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_question_is_refused_with_its_path(sent: Any, name: str) -> None:
    client, _ = sent
    body, path = WRONG[name]

    answer = await client.post(PATH, content=orjson.dumps(body))

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["path"] == path
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"measure": "performance.speed"}, "performance.duration_ms"),
        ({"aggregation": "mode"}, "ratio"),
        ({"group_by": ["model"]}, "operation"),
        ({"filters": {"model": "x"}}, "gap_priority"),
    ],
)
async def test_refusal_names_what_is_allowed(sent: Any, changes: Any, allowed: str) -> None:
    client, _ = sent

    answer = await client.post(PATH, content=orjson.dumps(query(**changes)))

    assert allowed in answer.json()["allowed"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"queries":[NaN]}', b"\xff"])
async def test_question_that_is_no_json_is_malformed(sent: Any, content: bytes) -> None:
    client, _ = sent

    answer = await client.post(PATH, content=content)

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_body"


async def test_step_that_holds_the_whole_window_still_answers_in_points(sent: Any) -> None:
    client, _ = sent
    now = datetime.now(UTC).replace(minute=30)

    told = await ask(
        client,
        {"measure": "performance.count", "aggregation": "sum"},
        **{
            "from": (now - timedelta(hours=2, minutes=10)).isoformat(),
            "to": (now - timedelta(hours=2)).isoformat(),
        },
        step_seconds=3_600,
    )

    assert len(told["queries"][0]["series"][0]["points"]) == 1
