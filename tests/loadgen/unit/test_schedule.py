from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.schedule import ScheduleError, backfill, live, survey
from loadgen.traces import TraceCall

NOW = datetime(2025, 11, 29, 12, tzinfo=UTC)
DAY = 86_400.0


def calls(*offsets: float) -> list[TraceCall]:
    return [TraceCall(offset, 1, 1) for offset in offsets]


def test_backfilled_trace_ends_now_with_its_own_spacing() -> None:
    schedule = backfill(survey(calls(0, 30, 90), compress=1), now=NOW, compress=1)

    assert schedule.at(90) == NOW
    assert schedule.at(30) == NOW - timedelta(seconds=60)
    assert schedule.at(0) == NOW - timedelta(seconds=90)


def test_compressed_trace_ends_now_and_starts_later() -> None:
    schedule = backfill(survey(calls(0, 90), compress=3), now=NOW, compress=3)

    assert (schedule.at(0), schedule.at(90)) == (NOW - timedelta(seconds=30), NOW)


def test_live_trace_starts_now_and_runs_at_the_speed() -> None:
    schedule = live(survey(calls(0, 90), compress=1), now=NOW, speed=10)

    assert (schedule.at(0), schedule.at(90)) == (NOW, NOW + timedelta(seconds=9))
    assert schedule.after(90) == 9


@given(st.lists(st.floats(-1000, 1000), min_size=1), st.floats(0.1, 100))
def test_no_call_lies_outside_the_schedule_in_whatever_order(
    offsets: list[float], compress: float
) -> None:
    schedule = backfill(survey(calls(*offsets), compress=compress), now=NOW, compress=compress)

    stamps = [schedule.at(offset) for offset in offsets]

    assert max(stamps) - NOW <= timedelta(microseconds=2)
    assert NOW - max(stamps) <= timedelta(microseconds=2)
    assert min(stamps) == schedule.starts_at


def test_trace_of_more_than_a_week_says_what_would_fit() -> None:
    found = survey(calls(0, 3 * DAY, 6.9 * DAY, 14 * DAY), compress=1)

    with pytest.raises(ScheduleError, match=r"14\.0 days.*--limit 3 .*--compress 2\.01 ") as caught:
        backfill(found, now=NOW, compress=1)

    assert "reaches 7 days back" in str(caught.value)


def test_advised_compression_is_enough() -> None:
    found = survey(calls(0, 14 * DAY), compress=2.01)

    assert backfill(found, now=NOW, compress=2.01).at(0) > NOW - timedelta(days=7)


def test_live_replay_of_years_is_refused() -> None:
    with pytest.raises(ScheduleError, match="takes 1,400 days"):
        live(survey(calls(0, 14 * DAY), compress=1), now=NOW, speed=0.01)
