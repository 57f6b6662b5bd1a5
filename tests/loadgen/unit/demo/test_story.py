import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.demo.events import LlmCall, Performance
from loadgen.demo.rhythm import requests_per_second
from loadgen.demo.story import DAY, HOUR, Story, chapters, conditions
from tests.fixtures.servers import REPOSITORY
from tests.loadgen.unit.demo.walks import END, FIRST_DAY, STORY, TOLD, error_rate, walk

ends = st.integers(480_000, 510_000).map(lambda hour: datetime.fromtimestamp(3600 * hour, UTC))


@given(st.integers(1, 30), ends)
def test_deployment_and_trouble_lie_within_the_history_in_this_order(
    days: int, end: datetime
) -> None:
    told = chapters(STORY, days=days, end=end)

    begin = end - days * DAY
    assert begin < told.deployment < told.trouble
    assert told.trouble + HOUR <= end
    assert told.deployment.minute == told.trouble.minute == 0


@given(ends)
def test_two_weeks_have_their_deployment_at_about_sixty_percent(end: datetime) -> None:
    told = chapters(STORY, days=14, end=end)

    assert 0.45 < (told.deployment - (end - 14 * DAY)) / (14 * DAY) < 0.7
    assert 0.6 < (told.trouble - (end - 14 * DAY)) / (14 * DAY) < 0.85


@given(st.integers(7, 30), ends)
def test_events_of_a_week_or_more_fall_into_office_hours(days: int, end: datetime) -> None:
    told = chapters(STORY, days=days, end=end)

    assert told.deployment.weekday() < 5
    assert told.trouble.weekday() < 5
    assert (told.deployment.hour, told.trouble.hour) == (10, 14)


@given(st.integers(7, 30), ends, st.integers(0, 23))
def test_story_is_the_same_all_day_long(days: int, end: datetime, later: int) -> None:
    midnight = end.replace(hour=0)

    assert chapters(STORY, days=days, end=midnight) == chapters(
        STORY, days=days, end=midnight + timedelta(hours=later)
    )


def test_week_averages_to_the_rate_that_the_story_names() -> None:
    flat = replace(STORY, growth=0.0)
    monday = datetime(2026, 11, 9, tzinfo=UTC)
    minutes = [monday + timedelta(minutes=n) for n in range(7 * 24 * 60)]

    total = sum(60 * requests_per_second(flat, TOLD, minute) for minute in minutes)

    assert total / 7 == pytest.approx(flat.requests_per_day, rel=0.001)


def test_offices_are_busy_and_nights_and_weekends_are_not() -> None:
    noon, night = datetime(2026, 11, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, 2, tzinfo=UTC)
    flat = replace(STORY, growth=0.0)

    assert requests_per_second(flat, TOLD, noon) > 10 * requests_per_second(flat, TOLD, night)
    saturday = noon + 3 * DAY
    assert requests_per_second(flat, TOLD, saturday) == pytest.approx(
        flat.weekend * requests_per_second(flat, TOLD, noon)
    )


def test_traffic_grows_from_the_beginning_to_the_end() -> None:
    first = requests_per_second(STORY, TOLD, TOLD.begins + timedelta(days=1, hours=10))
    last = requests_per_second(STORY, TOLD, TOLD.begins + timedelta(days=8, hours=10))

    assert 1.1 < last / first < 1.25


def test_rate_has_no_jumps() -> None:
    weekday = datetime(2026, 11, 11, tzinfo=UTC)
    minutes = [weekday + timedelta(minutes=n) for n in range(24 * 60)]
    rates = [requests_per_second(STORY, TOLD, minute) for minute in minutes]

    busiest = max(rates)
    assert all(abs(b - a) < 0.02 * busiest for a, b in pairwise(rates))


def test_deployment_makes_requests_a_quarter_dearer_and_quicker() -> None:
    before = walk(FIRST_DAY)
    steady = replace(STORY, quality_loss=0.0, near_hits_loss=0.0)

    after = walk(conditions(steady, TOLD, TOLD.deployment))

    assert 1.2 < after.cost / before.cost < 1.3
    assert after.input_tokens > 1.2 * before.input_tokens
    assert after.call_seconds < 0.9 * before.call_seconds
    assert after.seconds < 0.95 * before.seconds


def test_trouble_fails_more_than_a_tenth_and_is_slow() -> None:
    troubled = conditions(STORY, TOLD, TOLD.trouble)
    found = walk(troubled)

    assert error_rate(found.events) > 0.1
    failed = [event for event in found.events if isinstance(event, Performance | LlmCall)]
    types = {event.error_type for event in failed} - {None}
    assert types == {
        *("RateLimitError", "RateLimitedError"),
        *("CancelledError", "ProviderTimeoutError"),
    }
    assert found.seconds > 2 * walk(FIRST_DAY).seconds


def test_trouble_lasts_an_hour() -> None:
    minute = timedelta(minutes=1)
    moments = [
        TOLD.trouble - minute,
        TOLD.trouble,
        TOLD.trouble + HOUR - minute,
        TOLD.trouble + HOUR,
    ]

    found = [conditions(STORY, TOLD, moment) for moment in moments]
    failing = [each.failing for each in found]
    hits = [each.near_hits for each in found]

    assert failing == [STORY.failing, STORY.trouble_failing, STORY.trouble_failing, STORY.failing]
    assert [hit / hits[0] for hit in hits] == pytest.approx([1, 0.6, 0.6, 1], rel=0.01)
    assert error_rate(walk(FIRST_DAY).events) < 0.01


def test_quality_and_hit_rate_slip_slowly() -> None:
    days = [conditions(STORY, TOLD, TOLD.begins + n * DAY + HOUR) for n in range(14)]

    shifts, hits = [day.quality_shift for day in days], [day.near_hits for day in days]
    assert shifts[:3] == [0, 0, 0]
    assert shifts == sorted(shifts, reverse=True)
    assert hits[:3] == [STORY.near_hits] * 3
    usual = [hit for hit, day in zip(hits, days, strict=True) if day.failing == STORY.failing]
    assert usual == sorted(usual, reverse=True)
    last = conditions(STORY, TOLD, END - HOUR)
    assert last.quality_shift == pytest.approx(-STORY.quality_loss, abs=0.05)
    assert last.near_hits == pytest.approx(STORY.near_hits - STORY.near_hits_loss, abs=0.02)
    assert last.evicted > FIRST_DAY.evicted


def test_story_of_other_parameters_is_another() -> None:
    dearer = Story(added_prompt_tokens=1_000)

    assert conditions(dearer, TOLD, END).added_prompt_tokens == 1_000


def test_document_names_the_parameters_as_they_are() -> None:
    text = (REPOSITORY / "docs" / "demo.md").read_text()
    stated = dict(re.findall(r"`([a-z_]+)` ([0-9][0-9.,]*)", text))

    parameters = {name: getattr(STORY, name) for name in stated}
    assert len(stated) >= 15
    assert {name: float(value.rstrip(",").replace(",", "")) for name, value in stated.items()} == (
        parameters
    )
