from loadgen.trickle.backoff import Backoff
from loadgen.trickle.client import Outcome

AWAY = Outcome("no connection", detail="nothing answers", wait=0)
FINE = Outcome("200", ok=True)


def test_failures_hold_requests_back_longer_and_longer_up_to_half_a_minute() -> None:
    backoff = Backoff()
    now, holds = 0.0, []
    for _ in range(8):
        backoff.observe(AWAY, now)
        began = now
        while backoff.holds(now):
            now += 0.25
        holds.append(now - began)

    assert holds == [1, 2, 4, 8, 16, 30, 30, 30]


def test_success_ends_the_trouble() -> None:
    backoff = Backoff()
    backoff.observe(AWAY, 0.0)

    backoff.observe(FINE, 0.5)

    assert not backoff.holds(0.5)


def test_trouble_that_lasts_is_told_once_and_so_is_its_end() -> None:
    backoff = Backoff()

    told = [backoff.observe(AWAY, at) for at in (0, 2, 6, 20, 50)]
    over = [backoff.observe(FINE, at) for at in (90, 91)]

    assert told == [
        None,
        None,
        "nothing answers; trying again, at least every 30 s",
        None,
        None,
    ]
    assert over == ["answers again after 90 s", None]


def test_failures_of_requests_under_way_together_are_one() -> None:
    backoff = Backoff()

    told = [backoff.observe(AWAY, 0.1 * n) for n in range(8)]

    assert told == [None] * 8
    assert not backoff.holds(1.0)


def test_workload_says_how_long_to_wait() -> None:
    backoff = Backoff()

    backoff.observe(Outcome("503", wait=7.0), 0.0)

    assert backoff.holds(6.9)
    assert not backoff.holds(7.0)


def test_refused_request_is_no_reason_to_wait() -> None:
    backoff = Backoff()

    assert backoff.observe(Outcome("422", detail="wrong"), 0.0) is None
    assert not backoff.holds(0.0)
