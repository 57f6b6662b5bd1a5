"""Which silences hold back an alert."""

from __future__ import annotations

import pytest

from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.silencing import Silencer

LABELS = {"alertname": "latency", "operation": "answer"}


def silence(name: str, *matchers: Matcher, ends_at: float = 10.0) -> Silence:
    return Silence(name, matchers, 0.0, ends_at, "ann", "")


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ([Matcher("operation", "answer")], True),
        ([Matcher("operation", "search")], False),
        ([Matcher("operation", "answer"), Matcher("alertname", "cost")], False),
        ([Matcher("operation", "a.*", is_regex=True)], True),
        ([Matcher("operation", "search", is_equal=False)], True),
        ([Matcher("model", "")], True),
        ([Matcher("operation", "")], False),
    ],
    ids=["equal", "other", "not all", "regex", "unequal", "absent", "present"],
)
def test_a_silence_holds_back_what_matches_all_its_matchers(
    matchers: list[Matcher], expected: bool
) -> None:
    silencer = Silencer([silence("s", *matchers)], wall=5.0)

    assert (silencer.first(LABELS) is not None) is expected


@pytest.mark.parametrize(
    ("wall", "expected"), [(-0.1, False), (0.0, True), (9.9, True), (10.0, False)]
)
def test_a_silence_counts_from_its_start_to_before_its_end(wall: float, expected: bool) -> None:
    silencer = Silencer([silence("s", Matcher("operation", "answer"))], wall=wall)

    assert (silencer.first(LABELS) is not None) is expected


def test_of_several_the_one_that_ends_last_is_named() -> None:
    exact = Matcher("operation", "answer")
    found = Silencer(
        [silence("a", exact), silence("b", exact, ends_at=30.0), silence("c", ends_at=20.0)],
        wall=5.0,
    )

    assert [each.id for each in found.all(LABELS)] == ["b", "c", "a"]
