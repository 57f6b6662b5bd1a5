"""Alerts from elsewhere: merged, vouched for, and of unknown state when nobody does any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain import machine, outside
from alerts_svc.domain.alert import Alert, Change, State
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Posted

NOW = 1_790_000_000.0
SKEW = 3600.0
"""The true time is an hour ahead of the service's own."""


def posted(
    at: float = NOW,
    *,
    start: float | None = None,
    end: float | None = None,
    annotations: dict[str, str] | None = None,
    severity: str = "page",
) -> Posted:
    """Return what a sender posts at an own time; all times are given in own time."""
    return Posted(
        labels={"alertname": "DiskFull", "severity": severity, "empty": ""},
        annotations=annotations or {},
        starts_at=(at if start is None else start) + SKEW,
        ends_at=None if end is None else end + SKEW,
        generator_url="http://127.0.0.1:9090/graph",
        received_at=at + SKEW,
    )


def receive(alert: Alert | None, given: Posted) -> machine.Step:
    own = given.received_at - SKEW
    return outside.receive(alert, given, own=own, wall=own + SKEW)


def changes(step: machine.Step) -> list[Change]:
    return [transition.change for transition in step[1]]


@pytest.fixture
def firing() -> Alert:
    return receive(None, posted())[0]


def settled(alert: Alert) -> Alert:
    """Return the alert after its resolve was told."""
    return replace(alert, incident=None)


def test_posted_alert_fires_at_once() -> None:
    alert, transitions = receive(None, posted(start=NOW - 60))

    assert alert.state is State.FIRING
    assert alert.labels == {"alertname": "DiskFull", "severity": "page"}
    assert alert.active_at == NOW - 60
    assert alert.expires_at == NOW + 300
    assert alert.rule is None
    assert alert.incident is not None
    assert alert.incident.owed is Change.FIRED
    assert alert.incident.event_at == NOW + SKEW
    assert [(t.change, t.severity, t.at) for t in transitions] == [
        (Change.FIRED, Severity.CRITICAL, NOW)
    ]


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("critical", Severity.CRITICAL),
        ("Page", Severity.CRITICAL),
        ("error", Severity.CRITICAL),
        ("warning", Severity.WARNING),
        ("info", Severity.WARNING),
        ("", Severity.WARNING),
    ],
)
def test_label_says_how_bad_it_is(label: str, severity: Severity) -> None:
    alert, _ = receive(None, posted(severity=label))

    assert alert.severity is severity


def test_start_in_the_future_is_now() -> None:
    alert, _ = receive(None, posted(start=NOW + 600))

    assert alert.active_at == NOW


def test_explicit_end_says_how_long_it_is_vouched_for() -> None:
    alert, _ = receive(None, posted(end=NOW + 30))

    assert alert.expires_at == NOW + 30


def test_repetition_keeps_the_earliest_start_and_the_newest_annotations(firing: Alert) -> None:
    earlier, first = receive(
        firing, posted(NOW + 60, start=NOW - 100, annotations={"summary": "new"})
    )
    later, second = receive(earlier, posted(NOW + 120, start=NOW + 100))

    assert first == second == ()
    assert later.active_at == NOW - 100
    assert earlier.annotations == {"summary": "new"}
    assert later.annotations == {}
    assert later.expires_at == NOW + 420


def test_repetition_does_not_shorten_what_was_vouched_for(firing: Alert) -> None:
    alert, _ = receive(firing, posted(NOW + 10, end=NOW + 20))

    assert alert.expires_at == NOW + 300


def test_end_in_the_past_resolves(firing: Alert) -> None:
    step = receive(firing, posted(NOW + 60, start=NOW, end=NOW + 55))

    alert, _ = step
    assert changes(step) == [Change.RESOLVED]
    assert alert.state is State.INACTIVE
    assert alert.expires_at is None
    assert machine.open_incident(alert) is None


def test_end_that_another_clock_says_a_moment_early_resolves(firing: Alert) -> None:
    alert, transitions = receive(firing, posted(NOW + 60, start=NOW, end=NOW + 60.9))
    later, none = receive(firing, posted(NOW + 60, start=NOW, end=NOW + 61.1))

    assert alert.state is State.INACTIVE
    assert [transition.change for transition in transitions] == [Change.RESOLVED]
    assert later.state is State.FIRING
    assert none == ()


def test_end_at_the_moment_of_the_start_resolves(firing: Alert) -> None:
    assert changes(receive(firing, posted(NOW + 1, end=NOW))) == [Change.RESOLVED]


def test_older_resolve_does_not_close_a_newer_fire() -> None:
    newer, _ = receive(None, posted(NOW, start=NOW - 10))

    alert, transitions = receive(newer, posted(NOW + 5, start=NOW - 600, end=NOW - 300))

    assert alert is newer
    assert transitions == ()


def test_resolve_of_what_is_not_known_changes_nothing() -> None:
    alert, transitions = receive(None, posted(end=NOW - 5))

    assert alert.state is State.INACTIVE
    assert transitions == ()
    assert machine.forgettable(alert, None, own=NOW)


def test_silent_sender_makes_the_state_unknown_once(firing: Alert) -> None:
    before = outside.expire(firing, own=NOW + 299)
    step = outside.expire(firing, own=NOW + 300)
    again = outside.expire(step[0], own=NOW + 305)

    assert before == (firing, ())
    assert changes(step) == [Change.NO_DATA]
    assert step[0].state is State.NO_DATA
    assert machine.open_incident(step[0]) is not None
    assert again == (step[0], ())


def test_sender_that_speaks_again_resumes(firing: Alert) -> None:
    silent, _ = outside.expire(firing, own=NOW + 300)

    step = receive(silent, posted(NOW + 400))

    assert changes(step) == [Change.RESUMED]
    assert step[0].state is State.FIRING
    assert step[0].expires_at == NOW + 700
    assert outside.expire(step[0], own=NOW + 500) == (step[0], ())


def test_sender_that_speaks_again_may_say_that_it_is_over(firing: Alert) -> None:
    silent, _ = outside.expire(firing, own=NOW + 300)

    assert changes(receive(silent, posted(NOW + 400, end=NOW + 350))) == [Change.RESOLVED]


def test_new_episode_is_another_incident(firing: Alert) -> None:
    resolved, _ = receive(firing, posted(NOW + 60, end=NOW + 60))

    again, transitions = receive(settled(resolved), posted(NOW + 90))

    assert [t.change for t in transitions] == [Change.FIRED]
    assert firing.incident is not None
    assert again.incident is not None
    assert again.incident.id != firing.incident.id


def test_new_episode_waits_until_the_resolve_of_the_last_one_is_told(firing: Alert) -> None:
    resolved, _ = receive(firing, posted(NOW + 60, end=NOW + 60))
    waiting, none = receive(resolved, posted(NOW + 61))
    still, none_either = outside.expire(waiting, own=NOW + 62)

    fired = outside.expire(settled(still), own=NOW + 63)

    assert none == none_either == ()
    assert waiting.state is State.PENDING
    assert changes(fired) == [Change.FIRED]
    assert fired[0].active_at == NOW + 61


def test_new_episode_that_ends_while_it_waits_is_dropped(firing: Alert) -> None:
    resolved, _ = receive(firing, posted(NOW + 60, end=NOW + 60))
    waiting, _ = receive(resolved, posted(NOW + 61))

    ended, transitions = receive(waiting, posted(NOW + 62, end=NOW + 62))

    assert transitions == ()
    assert ended.state is State.INACTIVE


def test_new_episode_that_nobody_vouches_for_while_it_waits_is_dropped(firing: Alert) -> None:
    resolved, _ = receive(firing, posted(NOW + 60, end=NOW + 60))
    waiting, _ = receive(resolved, posted(NOW + 61))

    expired, transitions = outside.expire(waiting, own=NOW + 361)

    assert transitions == ()
    assert expired.state is State.INACTIVE


def test_alert_that_was_never_vouched_for_does_not_expire() -> None:
    alert = Alert("0", {"alertname": "DiskFull"})

    assert outside.expire(alert, own=NOW) == (alert, ())


def test_no_alert_of_a_rule_of_ours_is_the_same_as_one_from_elsewhere(firing: Alert) -> None:
    assert firing.fingerprint != fingerprint(firing.labels)
