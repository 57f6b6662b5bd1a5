"""What comes in through the inbox."""

from __future__ import annotations

from alerts_svc.domain.alert import Change, State
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.outside import identity_of
from alerts_svc.domain.world import Acknowledge, Close, Posted
from tests.alerts_svc.scene import NOW, Scene, channels, told

LABELS = {"alertname": "disk full", "instance": "db1", "severity": "page"}


def posted(ends_at: float | None = None, at: float = NOW) -> Posted:
    return Posted(LABELS, {"summary": "full"}, NOW - 60, ends_at, "", at)


def test_an_acknowledgement_stands_in_the_history_until_it_expires() -> None:
    scene = Scene(skew=-7.0)
    identity = scene.fires("answer")
    scene.tick()

    changes = scene.commands(Acknowledge(scene.incident(identity).id, "ann", NOW - 7 + 60))

    incident = scene.incident(identity)
    assert (incident.acknowledged_by, incident.acknowledged_until) == ("ann", NOW + 60)
    assert [(t.change, t.sequence, t.reason) for t in changes.transitions] == [
        (Change.ACKNOWLEDGED, 2, "by:ann")
    ]
    assert changes.consumed == (1,)
    assert incident.owed is None


def test_an_acknowledgement_can_be_taken_back() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    scene.commands(Acknowledge(identity, "ann", NOW + 60))

    changes = scene.commands(Acknowledge(identity, "bob", None))

    incident = scene.incident(identity)
    assert (incident.acknowledged_by, incident.acknowledged_until) == (None, None)
    assert changes.transitions[0].reason == "taken_back_by:bob"


def test_an_acknowledgement_does_not_hide_what_is_still_owed() -> None:
    scene = Scene(channels=channels(pager=Kind.PAGERDUTY))
    identity = scene.fires("answer")

    scene.commands(Acknowledge(identity, "ann", NOW + 60))

    assert told(scene.tick()) == {"console": "first", "pager": "first"}


def test_a_command_about_nothing_open_is_consumed() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.clears("answer")

    changes = scene.commands(
        Acknowledge("unknown", "ann", NOW + 60), Close("unknown", "ann"), Close(identity, "ann")
    )

    assert changes.consumed == (1, 2, 3)
    assert (changes.alerts, changes.transitions) == ((), ())


def test_an_incident_that_somebody_closes_is_resolved() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()

    changes = scene.commands(Close(scene.incident(identity).id, "ann"))

    assert [(t.change, t.reason) for t in changes.transitions] == [
        (Change.RESOLVED, "closed_by:ann")
    ]
    assert told(scene.tick()) == {"console": "all_resolved", "slack": "all_resolved"}


def test_later_commands_see_what_earlier_ones_did() -> None:
    scene = Scene()
    identity = identity_of(LABELS)

    changes = scene.commands(
        (posted(),), Acknowledge(identity, "ann", NOW + 60), Close(identity, "b")
    )

    assert [t.change for t in changes.transitions] == [
        Change.FIRED,
        Change.ACKNOWLEDGED,
        Change.RESOLVED,
    ]
    assert changes.consumed == (1, 2, 3)


def test_an_alert_that_was_posted_fires_and_its_end_resolves_it() -> None:
    scene = Scene()
    scene.commands((posted(),))
    fired = scene.tick()
    scene.after(60).commands((posted(ends_at=NOW + 60, at=NOW + 60),))
    resolved = scene.tick()

    assert told(fired) == {"console": "first", "slack": "first"}
    assert fired.messages[0].items[0].labels == LABELS
    assert told(resolved) == {"console": "all_resolved", "slack": "all_resolved"}


def test_the_end_of_what_was_never_heard_of_leaves_nothing() -> None:
    scene = Scene()

    changes = scene.commands((posted(ends_at=NOW - 1),))

    assert changes.alerts == ()
    assert scene.world.alerts == {}


def test_an_alert_that_nobody_vouches_for_any_more_is_told_as_no_data() -> None:
    scene = Scene()
    scene.commands((posted(),))
    scene.tick()

    assert scene.next() == 300
    scene.after(300).commands()

    assert told(scene.tick()) == {"console": "no_data", "slack": "no_data"}
    assert scene.world.alerts[identity_of(LABELS)].state is State.NO_DATA
    assert scene.next() == 14_400
