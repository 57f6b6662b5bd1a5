from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from metrics_svc.domain.rollup import RESOLUTIONS
from metrics_svc.domain.window import plan
from metrics_svc.wire.parameters import ALLOWED, MAX_MINUTES, window_request
from windsock_kit.errors import InvalidError

DAY = 86_400
KEPT = {10: 3 * DAY, 60: 35 * DAY, 600: 100 * DAY, 3_600: 400 * DAY}
NOW = datetime(2026, 3, 1, 12, 34, 56, 789_000, tzinfo=UTC)


def test_hour_of_everything_is_what_is_told_unasked() -> None:
    asked = window_request(QueryParams(""))

    assert asked.minutes == 60
    assert asked.filters == {}
    assert asked.filter() == {}


def test_filters_are_taken_as_they_are() -> None:
    asked = window_request(QueryParams("operation=a%20b&gap_priority=high&environment=%C3%A4"))

    assert asked.filters == {"operation": "a b", "gap_priority": "high", "environment": "ä"}
    assert asked.filter()["operation"] == frozenset({"a b"})


@pytest.mark.parametrize("minutes", ["1", "5", "1440", "43200", "007"])
def test_whole_minutes_are_read(minutes: str) -> None:
    asked = window_request(QueryParams({"time_window_minutes": minutes}))

    assert asked.minutes == int(minutes)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+5", "1.0", "1e2", " 5", "1_000", "\u0665", "²", "43201", "9" * 5_000, "x"],
)
def test_anything_else_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        window_request(QueryParams({"time_window_minutes": text}))

    assert refused.value.path == "time_window_minutes"
    assert refused.value.allowed == [f"1 to {MAX_MINUTES}"]
    assert len(refused.value.detail) < 300


def test_unknown_parameter_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidError) as refused:
        window_request(QueryParams({"x" * 10_000: "1"}))

    assert refused.value.allowed == ALLOWED
    assert all(name in refused.value.detail for name in ALLOWED)
    assert len(refused.value.detail) < 500


@pytest.mark.parametrize("name", ALLOWED)
def test_parameter_may_stand_once(name: str) -> None:
    with pytest.raises(InvalidError, match="more than once") as refused:
        window_request(QueryParams(f"{name}=1&{name}=1"))

    assert refused.value.path == name


@pytest.mark.parametrize("length", [0, 201])
def test_filter_of_no_possible_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidError, match="1 to 200"):
        window_request(QueryParams({"operation": "x" * length}))


@given(st.integers(1, MAX_MINUTES), st.floats(0, 100_000))
def test_window_covers_the_minutes_that_were_asked_for(minutes: int, later: float) -> None:
    now = datetime.fromtimestamp(NOW.timestamp() + later, UTC)
    asked = window_request(QueryParams({"time_window_minutes": str(minutes)}))

    window = asked.window(now, KEPT)

    finest = min(segment.resolution for segment in plan(window))
    start, end = now.timestamp() - minutes * 60, now.timestamp()
    assert window.start <= start < window.start + finest
    assert window.end - finest < end <= window.end
    assert finest in RESOLUTIONS


@given(st.integers(1, MAX_MINUTES))
def test_series_are_ready_to_plot(minutes: int) -> None:
    asked = window_request(QueryParams({"time_window_minutes": str(minutes)}))

    window = asked.window(NOW, KEPT)

    assert window.step is not None
    assert len(window.steps()) <= 125
    assert all(window.step % segment.resolution == 0 for segment in plan(window))
