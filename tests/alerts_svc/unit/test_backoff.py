"""How long to wait before the next attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.backoff import JITTER, SCHEDULE, delay

attempts = st.integers(1, 10_000)


@given(st.text(max_size=40), attempts)
def test_delay_is_within_a_fifth_of_the_schedule(message: str, attempt: int) -> None:
    base = SCHEDULE[min(attempt, len(SCHEDULE)) - 1]

    assert base * (1 - JITTER) <= delay(message, attempt) <= base * (1 + JITTER)


@given(st.text(max_size=40), attempts)
def test_delay_is_the_same_when_it_is_computed_again(message: str, attempt: int) -> None:
    assert delay(message, attempt) == delay(message, attempt)


def test_messages_that_failed_together_do_not_come_back_together() -> None:
    delays = sorted(delay(f"message-{index}", 6) for index in range(1000))

    assert len(set(delays)) == 1000
    assert delays[0] < 33
    assert delays[-1] > 47
    assert sum(delays) / 1000 == pytest.approx(40, abs=0.5)


def test_attempts_at_one_message_do_not_share_their_jitter() -> None:
    shares = {
        round(delay("message", attempt) / SCHEDULE[attempt - 1], 6)
        for attempt in range(1, len(SCHEDULE) + 1)
    }

    assert len(shares) == len(SCHEDULE)


def test_first_two_minutes_see_many_attempts() -> None:
    waited, count = 0.0, 1
    while waited + delay("message", count) < 120:
        waited += delay("message", count)
        count += 1

    assert count >= 6
