"""Steps that will be done at another time than is written."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain.schedule import schedule_warnings
from tests.flags_svc.worlds import rolled

NOW = 1_000_000.0  # 1970-01-12T13:46:40Z


def step(at: str | None = None, **fields: Any) -> dict[str, Any]:
    given = {} if at is None else {"at": f"1970-01-12T{at}Z"}
    return {**given, "enabled": True, **fields}


def told(*steps: dict[str, Any]) -> list[str]:
    return schedule_warnings(rolled(schedule=list(steps)), "production", NOW)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (step("14:00:00"), step("14:00:00"), step("15:00:00")),
        (step("14:00:00"), step(after_seconds=60), step("14:01:00")),
        # A minute is what clocks may differ by.
        (step("13:46:00"), step("14:00:00")),
        (step("13:00:00", done_at="1970-01-12T13:00:01Z"), step(after_seconds=5)),
        (step("13:00:00", done_at="1970-01-12T13:00:01Z"), step("14:00:00")),
    ],
)
def test_what_goes_forward_is_nothing_to_speak_of(steps: tuple[dict[str, Any], ...]) -> None:
    assert told(*steps) == []


@pytest.mark.parametrize(
    ("steps", "index", "words"),
    [
        ((step("15:00:00"), step("14:00:00")), 1, "15:00:00"),
        ((step("14:00:00"), step(after_seconds=3600), step("14:30:00")), 2, "15:00:00"),
        ((step("13:00:00"), step("14:00:00")), 0, "at once"),
        (
            (step("12:00:00", done_at="1970-01-12T12:00:00Z"), step("13:00:00")),
            1,
            "at once",
        ),
    ],
)
def test_what_goes_back_is_told(steps: tuple[dict[str, Any], ...], index: int, words: str) -> None:
    (warning,) = told(*steps)

    assert warning.startswith(f"environments.production.schedule[{index}] ")
    assert words in warning


def test_where_the_flag_does_nothing_nothing_is_late() -> None:
    assert schedule_warnings(rolled(), "staging", NOW) == []
