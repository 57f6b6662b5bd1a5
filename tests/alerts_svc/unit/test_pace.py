"""How fast a channel may be used."""

from __future__ import annotations

import pytest

from alerts_svc.domain.channel import Kind
from alerts_svc.sender.pace import Limits, Pace, limits


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.SLACK, Limits(1, 1.0)),
        (Kind.EMAIL, Limits(1, 0.05)),
        (Kind.PAGERDUTY, Limits(1, 0.05)),
        (Kind.WEBHOOK, Limits(4, 0.05)),
        (Kind.CONSOLE, Limits(4, 0.0)),
    ],
)
def test_each_kind_has_its_limits(kind: Kind, expected: Limits) -> None:
    assert limits(kind) == expected


def test_a_channel_that_was_not_used_may_be_used_at_once() -> None:
    assert Pace().wait(1000.0) == 0.0


def test_the_next_use_waits_for_the_spacing() -> None:
    pace = Pace()

    pace.used(1000.0, 1.0)

    assert pace.wait(1000.25) == 0.75
    assert pace.wait(1001.0) == 0.0


def test_uses_that_were_not_made_are_not_made_up_for() -> None:
    pace = Pace()
    pace.used(1000.0, 1.0)

    pace.used(1010.0, 1.0)

    assert pace.wait(1010.0) == 1.0


def test_a_receiver_that_asks_for_time_holds_everything_until_then() -> None:
    pace = Pace()

    pace.hold(1030.0)
    pace.used(1000.0, 1.0)
    pace.hold(1010.0)

    assert pace.wait(1000.0) == 30.0
