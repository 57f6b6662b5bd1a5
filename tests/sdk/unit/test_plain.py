"""Usual events take a short way through the buffer; what arrives must be the same."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import windsock
from windsock.plain import FIELDS
from windsock.testing import Captured, capture


class Text(str):
    """An operation that is unusual, so that its event takes the long way."""

    __slots__ = ()


METHODS = {
    "llm_call": "record_llm_cost",
    "quality": "record_quality",
    "cache": "record_cache_event",
    "exposure": "record_exposure",
}
texts = st.sampled_from(["gpt-4o", "", "ü \x00 \ud800", "x" * 200, "x" * 201])
counts = st.sampled_from([0, 1200, 10**8, 10**8 + 1, -1, True, 3.0])
durations = st.sampled_from([0.0, 812.5, 7, -1.0, math.nan, 1e300, "12"])
switches = st.sampled_from([True, False, 1, "yes"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "score": st.sampled_from([0.0, 7.5, 10.0, 10.5, math.inf, 7, "7"]),
    "layer": st.sampled_from(["l1", "L2", "prompt", "l3", ["l1"]]),
    "miss_reason": st.sampled_from(["cold", "Expired", "why"]),
    "status": st.sampled_from(["ok", "error", "OK"]),
    "duration_ms": durations,
    "saved_ms": durations,
    "saved_usd": st.sampled_from([0.25, -1.0]),
    "cost_usd": st.sampled_from([0.25, -1.0]),
    "cache_hit": switches,
    "hit": switches,
    "refined": switches,
    "accepted_first_pass": switches,
}
explicit = st.fixed_dictionaries(
    {},
    optional={
        "gap_priority": st.sampled_from(["HIGH", "", None, 3, "x" * 201]),
        "user_id": st.sampled_from(["u-2", None]),
        "environment": st.just("staging"),
        "chunks": st.integers(),
        "flags": st.just("none"),
        "metadata": st.sampled_from(
            [None, {}, {"chunks": 3, "gap_priority": "LOW"}, {"ratio": math.nan}, 5]
        ),
    },
)


def usual_values(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        name: st.none() | VALUES.get(name, counts if "tokens" in name else texts)
        for name in FIELDS[kind]
    }
    return st.fixed_dictionaries({}, optional=fields)


@settings(max_examples=400, deadline=None)
@given(
    kind_and_values=st.sampled_from(sorted(METHODS)).flatmap(
        lambda kind: st.tuples(st.just(kind), usual_values(kind))
    ),
    context=explicit,
    ambient=st.sampled_from([{}, {"user_id": "u-1"}, {"region": "eu", "text": "y" * 2_000}]),
)
def test_the_short_way_gives_the_same_event_as_the_long_one(
    kind_and_values: tuple[str, dict[str, Any]],
    context: dict[str, Any],
    ambient: dict[str, Any],
) -> None:
    kind, values = kind_and_values
    needed = {"flag_key": "f", "variant": "on"} if kind == "exposure" else {}

    outcomes = []
    for operation in ("answer", Text("answer")):
        with (
            capture(default_model="default", default_provider="openai") as captured,
            windsock.context(**ambient),
        ):
            record = getattr(windsock.get_metrics_collector(), METHODS[kind])
            record(operation=operation, **{**needed, **values}, **context)
        for event in captured.events:
            del event["timestamp"]
        outcomes.append((captured.events, captured.stats(), captured.counters.last_invalid))

    assert outcomes[0] == outcomes[1]


def test_a_usual_event_is_put_aside_as_it_is(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    with windsock.context(user_id="u-1"):
        collector.record_llm_cost("answer", 1200, 300, model="gpt-4o", provider="openai")
        collector.record_quality("evaluate", 7.5, False, True, evaluator="judge")
        collector.record_cache_event("retrieve", "l2", hit=False, miss_reason="cold")
        collector.record_exposure("flag", "on", "u-1")

    payloads = [record[3] for record in captured.buffer.events if isinstance(record, tuple)]
    assert [payload[0] for payload in payloads if isinstance(payload, tuple)] == list(METHODS)
    assert [event["user_id"] for event in captured.events] == ["u-1"] * 4


def test_metadata_changed_after_the_call_is_not_in_the_event(captured: Captured) -> None:
    metadata = {"chunks": 3}

    windsock.get_metrics_collector().record_quality("evaluate", 7.5, metadata=metadata)
    metadata["chunks"] = 4

    assert captured.events[0]["attributes"] == {"chunks": 3}


def test_equal_metadata_is_one_object(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    for _ in range(3):
        with windsock.context(user_id="u-1", gap_priority="HIGH"):
            collector.record_quality("evaluate", 7.5, session_id="s-1")
            collector.record_quality("evaluate", 7.5)
        collector.record_quality("evaluate", 7.5, gap_priority="HIGH")

    records = [record for record in captured.buffer.events if isinstance(record, tuple)]
    assert len({id(ambient) for _, _, ambient, _ in records}) == 2
