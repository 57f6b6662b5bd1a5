from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from loadgen.demo.reach import how_far, too_long
from loadgen.ingest import Receipt, Rejection
from metrics_svc.wire.batch import Limits, parse_batch

AT = datetime(2026, 11, 22, 12, 59, tzinfo=UTC)
DAY = timedelta(days=1)


def answer(days: int, limit: timedelta) -> Receipt:
    """Answer the question as a suite does that takes events of up to ``limit``."""
    asked = how_far(days, AT)
    body = msgspec.json.encode({"batch_id": asked.batch_id, "events": asked.events})
    limits = Limits(events=5_000, age=limit, ahead=timedelta(minutes=5))
    batch = parse_batch(body, limits, received=AT + timedelta(seconds=1))
    assert batch.events == []
    return Receipt(0, False, tuple(Rejection(r.index, r.detail, r.path) for r in batch.rejected))


def test_suite_of_a_week_is_too_short_for_two() -> None:
    advice = too_long(answer(14, 7 * DAY), 14)

    assert advice is not None
    assert "--days 14 is too many" in advice
    assert "METRICS_MAX_EVENT_AGE_SECONDS=1214100" in advice
    assert advice.endswith("or use --days 6")


@pytest.mark.parametrize("days", [1, 5, 6])
def test_advice_that_is_followed_is_enough(days: int) -> None:
    assert too_long(answer(days, 7 * DAY), days) is None
    assert too_long(answer(14, timedelta(seconds=1_214_100 + 60)), 14) is None


def test_suite_of_a_day_has_no_number_that_fits() -> None:
    advice = too_long(answer(2, DAY), 2)

    assert advice is not None
    assert "or use" not in advice


@pytest.mark.parametrize("days", [1, 14, 30])
def test_suite_of_31_days_takes_every_demo(days: int) -> None:
    assert too_long(answer(days, 31 * DAY), days) is None


def test_oldest_event_asked_for_is_older_than_any_that_is_sent() -> None:
    (asked,) = (event["timestamp"] for event in how_far(1, AT).events if isinstance(event, dict))

    assert asked < AT.replace(minute=0) - DAY


def test_refusal_for_another_reason_is_no_limit() -> None:
    no_limit = answer(30, 31 * DAY)

    assert {each.path for each in no_limit.rejected} == {"operation"}
    assert too_long(no_limit, 30) is None


def test_each_look_at_the_suite_is_a_batch_of_its_own() -> None:
    assert how_far(1, AT).batch_id != how_far(1, AT).batch_id
