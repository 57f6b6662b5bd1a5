"""The service's alerts about itself."""

from __future__ import annotations

import pytest

from alerts_svc.domain import builtin
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.severity import Severity


def test_there_are_two_and_their_names_are_known() -> None:
    found = builtin.rules(impaired_after_seconds=20.0)

    assert set(found) == builtin.NAMES
    assert found[builtin.EVALUATION_IMPAIRED].for_seconds == 20.0
    assert all(rule.actions and rule.annotations["summary"] for rule in found.values())


def test_an_alert_is_identified_by_the_labels_of_its_rule() -> None:
    rule = builtin.rules()[builtin.CHANNEL_FAILING]

    assert builtin.labels(rule.name, channel="slack") == {
        "alertname": rule.name,
        **rule.labels,
        "channel": "slack",
    }
    assert "channel" not in builtin.labels(builtin.EVALUATION_IMPAIRED)


def test_evaluation_is_critical_while_it_fails() -> None:
    assert builtin.evaluation(failing=True, away_seconds=3.0).level is Severity.CRITICAL
    assert builtin.evaluation(failing=False).level is None


@pytest.mark.parametrize(
    ("enabled", "reason", "given_up", "expected"),
    [
        (True, None, 0, None),
        (True, None, 2, None),
        (True, None, 3, Severity.WARNING),
        (False, "410 Gone", 0, Severity.WARNING),
        (False, None, 9, None),
    ],
    ids=["well", "twice", "three times", "gone", "disabled by people"],
)
def test_a_channel_fails_when_it_was_given_up(
    enabled: bool, reason: str | None, given_up: int, expected: Severity | None
) -> None:
    channel = Channel("slack", Kind.SLACK, enabled=enabled, disabled_reason=reason)

    assert builtin.channel(channel, given_up=given_up).level is expected
