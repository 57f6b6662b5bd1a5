"""What ``POST /api/metrics/query`` reads; how it refuses is told in the integration tests."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.measure import MEASURES
from metrics_svc.wire.query import MAX_STEPS, QueryRequest, catalogue, parse_query
from windsock_kit.errors import BadRequestError, InvalidError

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SPEED = {"measure": "performance.duration_ms", "aggregation": "p95"}


def parse(*queries: Any, **rest: Any) -> QueryRequest:
    return parse_query(orjson.dumps({"queries": queries or (SPEED,), **rest}), now=NOW)


def test_hour_until_now_without_steps_is_asked_unless_said() -> None:
    asked = parse()

    assert (asked.start, asked.end, asked.step) == (NOW.timestamp() - 3_600, NOW.timestamp(), None)


def test_minutes_end_now() -> None:
    asked = parse(time_window_minutes=5)

    assert asked.end - asked.start == 300


def test_open_end_is_now_and_so_is_one_in_the_future() -> None:
    begin = (NOW - timedelta(hours=1)).isoformat()

    open_end = parse(**{"from": begin})
    ahead = parse(**{"from": begin, "to": (NOW + timedelta(hours=1)).isoformat()})

    assert open_end == ahead
    assert open_end.end == NOW.timestamp()


def test_query_is_read_whole() -> None:
    (query,) = parse(
        SPEED
        | {
            "id": "speed",
            "group_by": ["operation", "environment", "operation"],
            "filters": {"gap_priority": None, "operation": ["a", None], "environment": "x"},
        }
    ).queries

    assert query.id == "speed"
    assert query.measure is MEASURES["performance.duration_ms"]
    assert query.group_by == ("operation", "environment")
    assert query.filters == {
        "gap_priority": {None},
        "operation": {"a", None},
        "environment": {"x"},
    }


def test_queries_without_id_are_numbered() -> None:
    asked = parse(SPEED, SPEED | {"id": "x"}, SPEED)

    assert [query.id for query in asked.queries] == ["q0", "x", "q2"]


def test_ratio_may_be_of_two_kinds_where_both_have_the_dimensions() -> None:
    ratio = {
        "measure": "llm_call.cost_usd",
        "aggregation": "ratio",
        "denominator": "performance.count",
    }

    (query,) = parse(ratio | {"group_by": ["operation"]}).queries

    assert query.denominator is MEASURES["performance.count"]
    with pytest.raises(InvalidError, match="performance has no dimension 'model'"):
        parse(ratio | {"group_by": ["model"]})


def test_most_steps_are_allowed_and_one_more_is_not() -> None:
    start = NOW - timedelta(seconds=MAX_STEPS * 10)

    assert parse(**{"from": start.isoformat()}, step_seconds=10).step == 10
    with pytest.raises(InvalidError, match="2000 steps"):
        parse(**{"from": (start - timedelta(seconds=10)).isoformat()}, step_seconds=10)


def test_catalogue_lists_every_measure_with_what_it_allows() -> None:
    listed = {entry["measure"]: entry for entry in catalogue()}

    assert listed.keys() == MEASURES.keys()
    assert "ratio" in listed["cache.hits"]["aggregations"]
    assert listed["llm_call.cost_usd"]["unit"] == "usd"
    assert "model" in listed["llm_call.cost_usd"]["dimensions"]


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("operation")
anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(values.map(str), inner, max_size=2),
)
names = st.sampled_from(
    ["measure", "aggregation", "group_by", "filters", "denominator", "id", "step_seconds", "from"]
)


@given(st.dictionaries(names, anything, max_size=4), st.dictionaries(names, anything, max_size=3))
def test_any_json_is_read_or_refused(inner: Any, outer: Any) -> None:
    body = json.dumps(outer | {"queries": [SPEED | inner]}).encode()

    with suppress(InvalidError, BadRequestError):
        assert parse_query(body, now=NOW).queries
