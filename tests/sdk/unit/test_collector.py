import math
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import windsock
from windsock.testing import Captured, capture

METHODS = [
    "record_performance",
    "record_llm_cost",
    "record_quality",
    "record_cache_event",
    "record_error",
    "record_exposure",
]


def common(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in event if name not in {"timestamp", "environment"}}


def test_the_short_form_of_a_model_call_is_enough(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    collector.record_llm_cost("answer", 1200, 300, True)
    collector.record_llm_cost(
        operation="answer", input_tokens=1200, output_tokens=300, cache_hit=True
    )

    expected = {
        "type": "llm_call",
        "operation": "answer",
        "input_tokens": 1200,
        "output_tokens": 300,
        "cache_hit": True,
        "status": "ok",
    }
    assert [common(event) for event in captured.events] == [expected, expected]


def test_configured_defaults_stand_in_for_model_and_provider() -> None:
    with capture(default_model="gpt-4o", default_provider="openai") as captured:
        collector = windsock.get_metrics_collector()
        collector.record_llm_cost("answer", 1, 2, False)
        collector.record_llm_cost("answer", 1, 2, False, model="gpt-4o-mini")

    assert [(event["model"], event["provider"]) for event in captured.events] == [
        ("gpt-4o", "openai"),
        ("gpt-4o-mini", "openai"),
    ]


def test_a_model_call_carries_every_field(captured: Captured) -> None:
    fields: dict[str, Any] = {
        "model": "claude-sonnet-4",
        "provider": "anthropic",
        "input_tokens": 10,
        "output_tokens": 20,
        "cached_input_tokens": 5,
        "cache_write_tokens": 2,
        "reasoning_tokens": 7,
        "duration_ms": 12.5,
        "cache_hit": True,
        "cost_usd": 0.25,
        "status": "error",
        "error_type": "RateLimit",
        "error_message": "slow down",
    }

    windsock.get_metrics_collector().record_llm_cost("answer", **fields)

    assert common(captured.events[0]) == {"type": "llm_call", "operation": "answer", **fields}


def test_money_given_as_a_decimal_keeps_its_digits(captured: Captured) -> None:
    windsock.get_metrics_collector().record_llm_cost("answer", cost_usd=Decimal("0.000000000123"))  # type: ignore[arg-type]  # Works as well.
    record = captured.buffer.events[0]
    assert isinstance(record, tuple)

    assert '"cost_usd":0.000000000123,' in captured._encoder.encode(record)


def test_the_other_events_carry_their_fields(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    collector.record_performance("retrieve", 12.5)
    collector.record_quality(
        operation="evaluate", score=7.5, refined=True, accepted_first_pass=False, evaluator="judge"
    )
    collector.record_cache_event("retrieve", layer="l1", hit=True, saved_ms=20, saved_usd=0.01)
    collector.record_cache_event("retrieve", "L2", False, miss_reason="cold")
    collector.record_error("retrieve", "it broke", error_type="Timeout", error_context={"try": 2})
    with windsock.context(user_id="u-1"):
        collector.record_exposure("new-prompt", "treatment")

    assert [common(event) for event in captured.events] == [
        {"type": "performance", "operation": "retrieve", "duration_ms": 12.5, "status": "ok"},
        {
            "type": "quality",
            "operation": "evaluate",
            "score": 7.5,
            "refined": True,
            "accepted_first_pass": False,
            "evaluator": "judge",
        },
        {
            "type": "cache",
            "operation": "retrieve",
            "layer": "l1",
            "hit": True,
            "saved_ms": 20.0,
            "saved_usd": 0.01,
        },
        {
            "type": "cache",
            "operation": "retrieve",
            "layer": "l2",
            "hit": False,
            "miss_reason": "cold",
        },
        {
            "type": "performance",
            "operation": "retrieve",
            "duration_ms": 0.0,
            "status": "error",
            "error_type": "Timeout",
            "error_message": "it broke",
            "error_context": {"try": 2},
        },
        {
            "type": "exposure",
            "flag_key": "new-prompt",
            "variant": "treatment",
            "targeting_key": "u-1",
            "user_id": "u-1",
        },
    ]


def test_an_exception_is_recorded_with_its_type_and_message(captured: Captured) -> None:
    try:
        int("seven")
    except ValueError as error:
        windsock.get_metrics_collector().record_error("parse", error)

    [event] = captured.events
    assert event["error_type"] == "ValueError"
    assert "seven" in event["error_message"]
    assert "test_collector.py" in event["error_context"]["where"]


def test_unknown_keywords_become_attributes(captured: Captured) -> None:
    windsock.get_metrics_collector().record_performance(
        "retrieve", 1, metadata={"top_k": 5}, session_id="s", chunk=UUID(int=7)
    )

    [event] = captured.events
    assert event["session_id"] == "s"
    assert event["attributes"] == {"top_k": 5, "chunk": "00000000-0000-0000-0000-000000000007"}


def test_numbers_of_other_libraries_are_numbers(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    collector.record_llm_cost("answer", np.int64(3), 4.0, np.bool_(True))  # type: ignore[arg-type]  # Works as well.
    collector.record_quality("evaluate", np.float32(7.5))  # type: ignore[arg-type]  # Works as well.

    call, quality = captured.events
    assert (call["input_tokens"], call["output_tokens"], call["cache_hit"]) == (3, 4, True)
    assert quality["score"] == 7.5


@pytest.mark.parametrize(
    ("method", "arguments", "field"),
    [
        ("record_performance", ("retrieve", math.nan), "performance.duration_ms"),
        ("record_performance", ("retrieve", -1), "performance.duration_ms"),
        ("record_performance", ("retrieve", "12"), "performance.duration_ms"),
        ("record_performance", ("retrieve", 1, "fine"), "performance.status"),
        ("record_performance", ("", 1), "performance.operation"),
        ("record_performance", (None, 1), "performance.operation"),
        ("record_llm_cost", ("answer", -1), "llm_call.input_tokens"),
        ("record_llm_cost", ("answer", 1.5), "llm_call.input_tokens"),
        ("record_llm_cost", ("answer", True), "llm_call.input_tokens"),
        ("record_llm_cost", ("answer", 1, 1, "yes"), "llm_call.cache_hit"),
        ("record_quality", ("evaluate", 10.5), "quality.score"),
        ("record_quality", ("evaluate", math.inf), "quality.score"),
        ("record_cache_event", ("retrieve", "l3"), "cache.layer"),
        ("record_exposure", ("", "on"), "exposure.flag_key"),
    ],
)
def test_an_event_that_the_service_would_refuse_is_dropped_and_counted(
    captured: Captured, method: str, arguments: tuple[Any, ...], field: str
) -> None:
    getattr(windsock.get_metrics_collector(), method)(*arguments)

    assert captured.events == []
    assert captured.stats().dropped == {"invalid": 1}
    assert captured.counters.last_invalid.startswith(field)


def test_what_is_too_long_is_cut_and_counted(captured: Captured) -> None:
    with windsock.track_performance("x" * 1_000, metadata={"text": "y" * 1_000_000}):
        pass
    with windsock.context(user_id="u" * 201):
        windsock.get_metrics_collector().record_performance(
            "many", 1, attributes={f"key{n}": n for n in range(100)}
        )

    long, many = captured.events
    assert len(long["operation"]) == 200
    assert long["attributes"]["text"] == "y" * 1_999 + "…"
    assert len(many["attributes"]) == 32
    assert len(many["user_id"]) == 200
    assert captured.stats().truncated == 3


def test_text_that_is_no_text_does_not_spoil_the_batch(captured: Captured) -> None:
    with windsock.track_performance("lone \ud800 and \x00", metadata={"\ud800": "a\x00b"}):
        pass

    [event] = captured.events
    assert event["operation"] == "lone ? and �"
    assert event["attributes"] == {"?": "a�b"}


def test_values_that_are_no_numbers_become_null_or_text(captured: Captured) -> None:
    attributes = {"nan": math.nan, "huge": 10**5_000, "big": 2**70, "list": list(range(9_999))}

    windsock.get_metrics_collector().record_performance("odd", 1, attributes=attributes)

    assert captured.events[0]["attributes"] == {
        "nan": None,
        "huge": "<int>",
        "big": str(2**70),
        "list": "[0, 1, 2, 3, 4, 5, ...]",
    }


def test_a_large_event_takes_more_room_in_the_buffer(captured: Captured) -> None:
    windsock.get_metrics_collector().record_performance("x", 1, text="y" * 2_000, more="z" * 2_000)

    assert len(captured.buffer.events) == 4


class Hostile:
    """Raises wherever it can."""

    def __str__(self) -> NoReturn:
        raise RuntimeError

    __repr__ = __str__

    def __index__(self) -> NoReturn:
        raise ZeroDivisionError

    def __float__(self) -> NoReturn:
        raise OverflowError

    def __eq__(self, other: object) -> NoReturn:
        raise LookupError

    def __hash__(self) -> NoReturn:
        raise TypeError

    def __len__(self) -> NoReturn:
        raise MemoryError

    def __iter__(self) -> NoReturn:
        raise OSError


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> NoReturn:
        raise KeyError(key)

    def __iter__(self) -> NoReturn:
        raise RuntimeError

    def __len__(self) -> int:
        return 5


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.text(alphabet=st.characters(codec=None))
    | st.decimals()
    | st.datetimes()
    | st.uuids()
    | st.complex_numbers()
    | st.builds(Hostile)
    | st.builds(HostileMapping)
    | st.sampled_from([print, int, object(), 10**4_000, sys]),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
keywords = st.dictionaries(
    st.sampled_from(
        [
            "metadata",
            "user_id",
            "flags",
            "attributes",
            "error_context",
            "model",
            "saved_ms",
            "other",
        ]
    ),
    anything,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    method=st.sampled_from(METHODS),
    arguments=st.lists(anything, min_size=2, max_size=2),
    context=keywords,
    ambient=keywords,
)
def test_nothing_that_is_passed_raises(
    method: str, arguments: list[Any], context: dict[str, Any], ambient: dict[str, Any]
) -> None:
    with capture() as captured:
        with windsock.context(**ambient):
            getattr(windsock.get_metrics_collector(), method)(*arguments, **context)
            with windsock.track_performance(arguments[0], metadata=arguments[1]) as block:
                block.annotate(**ambient)

        recorded = len(captured.events)
        assert recorded + captured.stats().dropped_total == 2


@settings(max_examples=100, deadline=None)
@given(error=st.sampled_from([ValueError, KeyError, RecursionError]), message=anything)
def test_the_error_of_a_block_is_always_the_one_that_comes_out(
    error: type[Exception], message: Any
) -> None:
    raised = error(message)

    with capture() as captured:
        with pytest.raises(error) as caught, windsock.track_performance("x", metadata=message):
            raise raised

        assert caught.value is raised
        assert captured.events[0]["error_type"] == error.__name__
