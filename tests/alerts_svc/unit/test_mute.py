"""Mute windows, as the clocks of a place show them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerts_svc.domain.configuration import MuteWindow
from alerts_svc.domain.mute import ends_at, is_muted

EVERY_DAY = frozenset(range(7))


def window(
    start: str, end: str, zone: str = "UTC", weekdays: frozenset[int] = EVERY_DAY
) -> MuteWindow:
    minutes = [60 * int(text[:2]) + int(text[3:]) for text in (start, end)]
    return MuteWindow("m", (), weekdays, minutes[0], minutes[1], zone)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ("2026-11-20 08:59:59", False),
        ("2026-11-20 09:00:00", True),
        ("2026-11-20 16:59:59", True),
        ("2026-11-20 17:00:00", False),
        ("2026-11-21 12:00:00", False),
    ],
)
def test_a_window_holds_from_its_start_to_before_its_end_on_its_days(
    wall: str, expected: bool
) -> None:
    friday = window("09:00", "17:00", weekdays=frozenset({4}))

    assert is_muted(friday, wall=at(wall)) is expected


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ("2026-11-20 21:59:59", False),
        ("2026-11-20 22:00:00", True),
        ("2026-11-21 05:59:59", True),
        ("2026-11-21 06:00:00", False),
        ("2026-11-21 22:30:00", False),
        ("2026-11-20 03:00:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts(
    wall: str, expected: bool
) -> None:
    friday_night = window("22:00", "06:00", weekdays=frozenset({4}))

    assert is_muted(friday_night, wall=at(wall)) is expected


def test_a_window_whose_start_is_its_end_is_a_whole_day() -> None:
    friday = window("06:00", "06:00", weekdays=frozenset({4}))

    assert is_muted(friday, wall=at("2026-11-20 06:00:00"))
    assert is_muted(friday, wall=at("2026-11-21 05:59:00"))
    assert not is_muted(friday, wall=at("2026-11-21 06:00:00"))
    assert ends_at(friday, wall=at("2026-11-20 06:00:00")) == at("2026-11-21 06:00:00")


def test_a_window_may_end_at_midnight() -> None:
    evening = window("22:00", "24:00")

    assert is_muted(evening, wall=at("2026-11-20 23:59:59"))
    assert not is_muted(evening, wall=at("2026-11-21 00:00:00"))
    assert ends_at(evening, wall=at("2026-11-20 23:00:00")) == at("2026-11-21 00:00:00")


def test_hours_are_those_of_the_place_in_summer_and_winter() -> None:
    morning = window("09:00", "10:00", "Europe/Berlin")

    assert is_muted(morning, wall=at("2026-07-01 07:30:00"))
    assert is_muted(morning, wall=at("2026-12-01 08:30:00"))
    assert not is_muted(morning, wall=at("2026-12-01 07:30:00"))
    assert ends_at(morning, wall=at("2026-07-01 07:30:00")) == at("2026-07-01 08:00:00")


def test_an_hour_that_comes_twice_is_muted_twice() -> None:
    # On 2026-10-25 in Berlin, 02:00 to 03:00 is first at 00:00 UTC, then again at 01:00 UTC.
    night = window("02:00", "03:00", "Europe/Berlin")

    assert [is_muted(night, wall=at(f"2026-10-25 0{hour}:30:00")) for hour in (0, 1, 2)] == [
        True,
        True,
        False,
    ]
    assert ends_at(night, wall=at("2026-10-25 00:30:00")) == at("2026-10-25 02:00:00")


def test_an_hour_that_is_left_out_is_not_muted() -> None:
    # On 2026-03-29 in Berlin, 02:00 is 03:00: 01:00 UTC.
    night = window("02:00", "03:00", "Europe/Berlin")

    assert not is_muted(night, wall=at("2026-03-29 00:59:59"))
    assert not is_muted(night, wall=at("2026-03-29 01:00:00"))


def test_a_leap_day_is_a_day_as_any_other() -> None:
    tuesday_night = window("23:00", "01:00", weekdays=frozenset({1}))

    assert is_muted(tuesday_night, wall=at("2028-02-29 23:30:00"))
    assert is_muted(tuesday_night, wall=at("2028-03-01 00:30:00"))
    assert ends_at(tuesday_night, wall=at("2028-02-29 23:30:00")) == at("2028-03-01 01:00:00")


def test_a_window_without_an_end_in_sight_says_so() -> None:
    always = window("00:00", "24:00")

    assert is_muted(always, wall=at("2026-11-20 12:00:00"))
    assert ends_at(always, wall=at("2026-11-20 12:00:00")) is None


def test_a_zone_that_nobody_knows_mutes_nothing() -> None:
    nowhere = window("00:00", "24:00", "Europe/Atlantis")

    assert not is_muted(nowhere, wall=at("2026-11-20 12:00:00"))
    assert ends_at(nowhere, wall=at("2026-11-20 12:00:00")) is None
