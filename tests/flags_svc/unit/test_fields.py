"""What can be kept and told again as it came."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain.fields import check_plain, number_of, object_of, yes_or_no
from flags_svc.domain.times import instant, seconds_of
from windsock_kit.errors import InvalidError


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {"b": "\0"}}, "a.b"),
        ({"a": [1, "\udfff"]}, "a[1]"),
        ({"\0": 1}, ""),
        ({"a": 2**53}, "a"),
        ({"a": float("inf")}, "a"),
    ],
    ids=["nul", "surrogate", "name", "whole", "infinite"],
)
def test_what_would_not_come_back_is_refused(value: object, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        check_plain(value, "")

    assert refused.value.path == path


def test_the_rest_is_let_through() -> None:
    check_plain({"a": [1, -1.5, True, None, "ü 🎏"], "b": {}, "c": nested(50)}, "")


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(InvalidError, match="nested"):
        check_plain(nested(100), "")


@pytest.mark.parametrize("value", [True, "1", None, 11, float("nan")])
def test_a_number_lies_within_its_bounds(value: object) -> None:
    with pytest.raises(InvalidError):
        number_of(value, "n", 0, 10)


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "null"), ("x", "a text"), (1.5, "a number"), (True, "true"), ([1], "a list")],
)
def test_what_is_no_object_is_told_in_the_words_of_json(value: object, told: str) -> None:
    with pytest.raises(InvalidError, match=f"must be an object, got {told}$"):
        object_of(value, "x")


@pytest.mark.parametrize(("value", "told"), [(None, "null"), ({}, "an object"), ("no", "'no'")])
def test_what_is_no_truth_value_is_told_back(value: object, told: str) -> None:
    with pytest.raises(InvalidError, match=f"must be true or false, got {told}$"):
        yes_or_no(value, "x")


def test_great_bounds_are_told_in_digits() -> None:
    with pytest.raises(InvalidError, match="0 to 31622400, got -1"):
        number_of(-1, "n", 0, 366 * 86_400.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-22T14:30:00Z", "2026-11-22T14:30:00Z"),
        ("2026-11-22T15:30:00.123456+01:00", "2026-11-22T14:30:00.123Z"),
    ],
)
def test_times_are_told_in_utc(text: str, told: str) -> None:
    assert instant(seconds_of(text, "at")) == told


@pytest.mark.parametrize(
    "value",
    [
        *("now", "", 5, None, "2026-11-22", "2026-11-22T14:30:00", "2026-13-22T14:30:00Z"),
        *("1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(InvalidError) as refused:
        seconds_of(value, "at")

    assert refused.value.path == "at"
