"""The life of an alert, rule by rule: breaches, and the end of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Change, State
from alerts_svc.domain.assessment import assess
from alerts_svc.domain.reading import Outcome, Reading
from alerts_svc.domain.rule import Rule
from tests.alerts_svc.unit.lives import (
    AWAY,
    BREACH,
    CLEAR,
    CRITICAL,
    IDLE,
    SILENCE,
    T0,
    WARNING,
    WORSE,
    incident_of,
    lived,
    slow,
    told,
)


def test_clear_reading_of_an_idle_alert_changes_nothing() -> None:
    assert machine.advance(IDLE, CLEAR, slow(), own=T0) == (IDLE, ())
    assert machine.advance(IDLE, CLEAR, slow(), own=T0)[0] is IDLE


def test_breach_without_for_fires_at_once() -> None:
    alert, transitions = machine.advance(IDLE, BREACH, slow(), own=T0, event_at=T0 - 2)

    incident = incident_of(alert)
    assert alert.state is State.FIRING
    assert (alert.severity, alert.value, alert.threshold) == (WARNING, 1.5, 1.0)
    assert alert.active_at == incident.started_at == incident.owed_at == incident.seen_at == T0
    assert incident.owed is Change.FIRED
    assert incident.event_at == T0 - 2
    assert [(t.incident, t.sequence, t.change, t.at, t.severity) for t in transitions] == [
        (incident.id, 1, Change.FIRED, T0, WARNING)
    ]


def test_breach_held_to_the_second_fires() -> None:
    alert, changes = lived(slow(for_seconds=60), (0, BREACH), (59, BREACH), (60, BREACH))

    assert changes == [(60, Change.FIRED)]
    assert alert.active_at == T0


def test_breach_that_is_over_before_leaves_nothing() -> None:
    alert, changes = lived(slow(for_seconds=60), (0, BREACH), (55, CLEAR), (65, BREACH))

    assert changes == []
    assert alert.state is State.PENDING
    assert alert.active_at == T0 + 65


def test_pending_alert_that_clears_is_idle_and_forgotten() -> None:
    rule = slow(for_seconds=60)

    alert, _ = lived(rule, (0, BREACH), (5, CLEAR))

    assert alert.state is State.INACTIVE
    assert machine.forgettable(alert, rule, own=T0 + 5)


def test_restart_while_pending_does_not_start_for_anew() -> None:
    rule = slow(for_seconds=60)
    pending, _ = lived(rule, (0, BREACH), (30, BREACH))

    restarted = msgspec.msgpack.decode(msgspec.msgpack.encode(pending), type=Alert)
    _, changes = lived(rule, (61, BREACH), alert=restarted)

    assert changes == [(61, Change.FIRED)]


def test_same_incident_gets_the_same_id_when_it_is_computed_again() -> None:
    first, _ = machine.advance(IDLE, BREACH, slow(), own=T0)
    again, _ = machine.advance(IDLE, BREACH, slow(), own=T0)
    later, _ = machine.advance(IDLE, BREACH, slow(), own=T0 + 1e-6)
    other, _ = machine.advance(replace(IDLE, fingerprint="f"), BREACH, slow(), own=T0)

    ids = [incident_of(alert).id for alert in (first, again, later, other)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(identity) == 32 for identity in ids)


def test_clear_resolves_at_once() -> None:
    alert, changes = lived(slow(), (0, BREACH), (5, CLEAR))

    assert changes == [(0, Change.FIRED), (5, Change.RESOLVED)]
    assert alert.state is State.INACTIVE
    assert incident_of(alert).resolved_at == T0 + 5
    assert incident_of(alert).owed is Change.RESOLVED
    assert machine.open_incident(alert) is None
    assert not machine.forgettable(alert, slow(), own=T0 + 5)


def test_alert_keeps_firing_until_it_has_been_clear_long_enough() -> None:
    rule = slow(keep_firing_seconds=60)

    alert, changes = lived(rule, (0, BREACH), (10, CLEAR), (69, CLEAR), (70, CLEAR))

    assert changes == [(0, Change.FIRED), (70, Change.RESOLVED)]
    assert alert.clear_at is None


def test_breach_in_between_starts_keep_firing_anew() -> None:
    rule = slow(keep_firing_seconds=60)

    alert, changes = lived(rule, (0, BREACH), (10, CLEAR), (60, BREACH), (80, CLEAR), (130, CLEAR))

    assert changes == [(0, Change.FIRED)]
    assert alert.state is State.FIRING
    assert alert.clear_at == T0 + 80


def test_firing_alert_that_reads_the_same_is_the_same() -> None:
    firing, _ = lived(slow(), (0, BREACH))

    assert machine.advance(firing, BREACH, slow(), own=T0 + 5)[0] is firing


def test_other_value_alone_is_only_measured() -> None:
    firing, _ = lived(slow(), (0, BREACH))

    after, _ = lived(slow(), (5, replace(BREACH, value=1.7, samples=31.0)), alert=firing)
    worse, _ = lived(slow(), (5, WORSE), alert=firing)

    assert after.value == 1.7
    assert machine.only_measured(firing, after)
    assert not machine.only_measured(firing, worse)


def test_rise_and_fall_belong_to_one_incident() -> None:
    alert, changes = lived(slow(), (0, BREACH), (5, WORSE), (10, BREACH), (15, CLEAR))

    assert changes == [
        (0, Change.FIRED),
        (5, Change.ESCALATED),
        (10, Change.DEESCALATED),
        (15, Change.RESOLVED),
    ]
    assert incident_of(alert).sequence == 4


def test_rise_before_anybody_was_told_is_told_as_fired() -> None:
    alert, _ = lived(slow(), (0, BREACH), (5, WORSE))

    incident = incident_of(alert)
    assert (incident.owed, incident.owed_at, incident.severity) == (Change.FIRED, T0, CRITICAL)


def test_rise_after_it_was_told_is_owed_with_its_own_event() -> None:
    firing, _ = machine.advance(IDLE, BREACH, slow(), own=T0, event_at=T0 - 1)

    alert, _ = machine.advance(told(firing), WORSE, slow(), own=T0 + 5, event_at=T0 + 4)

    incident = incident_of(alert)
    assert (incident.owed, incident.owed_at) == (Change.ESCALATED, T0 + 5)
    assert (incident.event_at, incident.seen_at) == (T0 + 4, T0 + 5)


def test_rise_that_is_over_before_it_was_told_is_no_longer_owed() -> None:
    firing, _ = lived(slow(), (0, BREACH))

    alert, _ = lived(slow(), (5, WORSE), (10, BREACH), alert=told(firing))

    assert incident_of(alert).owed is None


def test_fall_leaves_owed_what_nobody_was_told() -> None:
    alert, _ = lived(slow(), (0, WORSE), (5, BREACH))

    assert incident_of(alert).owed is Change.FIRED


def test_new_breach_waits_until_the_last_resolve_is_told() -> None:
    resolved, _ = lived(slow(), (0, BREACH), (5, CLEAR))

    waiting, none = lived(slow(), (10, BREACH), alert=resolved)
    fired, changes = lived(slow(), (15, BREACH), alert=told(waiting))

    assert none == []
    assert waiting.state is State.PENDING
    assert changes == [(15, Change.FIRED)]
    assert fired.active_at == T0 + 10


def test_last_resolve_that_a_channel_is_behind_with_is_not_told_yet() -> None:
    resolved, _ = lived(slow(), (0, BREACH), (5, CLEAR))
    incident = replace(incident_of(resolved), owed=None, behind=frozenset({"pager"}))

    assert not machine.is_told(replace(resolved, incident=incident))


@pytest.mark.parametrize(
    ("rule", "steps", "changes"),
    [
        pytest.param(slow(), [(0, BREACH)], [Change.RESOLVED], id="firing"),
        pytest.param(slow(for_seconds=60), [(0, BREACH)], [], id="pending"),
        pytest.param(slow(), [], [], id="idle"),
        pytest.param(slow(), [(0, BREACH), (5, SILENCE)], [Change.RESOLVED], id="no data"),
        pytest.param(slow(), [(0, BREACH), (5, AWAY)], [Change.RESOLVED], id="error"),
    ],
)
def test_what_is_closed_is_idle(
    rule: Rule, steps: Sequence[tuple[float, Outcome]], changes: list[Change]
) -> None:
    alert, _ = lived(rule, *steps)

    closed, transitions = machine.resolve(alert, own=T0 + 60, reason="rule_deleted")

    assert [transition.change for transition in transitions] == changes
    assert {transition.reason for transition in transitions} <= {"rule_deleted"}
    assert closed.state is State.INACTIVE
    assert closed.active_at is None


def test_cooldown_is_remembered_until_it_is_over() -> None:
    rule = slow(cooldown_seconds=900)
    idle = replace(IDLE, fired_at=T0)

    assert not machine.forgettable(idle, rule, own=T0 + 899)
    assert machine.forgettable(idle, rule, own=T0 + 900)
    assert not machine.forgettable(idle, None, own=T0 + 899)
    assert machine.forgettable(idle, None, own=T0 + 900)
    assert not machine.forgettable(replace(idle, state=State.PENDING), rule, own=T0 + 900)


def test_reminder_that_is_owed_outlives_a_fall() -> None:
    firing = told(lived(slow(), (0, WORSE))[0])
    reminded, _ = machine.step(firing, incident_of(firing), Change.REMINDER, own=T0 + 5)

    alert, _ = lived(slow(), (10, BREACH), alert=reminded)

    assert incident_of(alert).owed is Change.REMINDER


def test_every_change_is_dated() -> None:
    rule = slow(keep_firing_seconds=60)

    for outcome in (WORSE, CLEAR, SILENCE, AWAY):
        alert, _ = lived(rule, (0, BREACH), (5, outcome))
        assert alert.updated_at == T0 + 5


def test_value_that_swings_over_the_threshold_fires_and_resolves_in_turn() -> None:
    rule = slow()
    alert, changes = IDLE, []
    for turn in range(120):
        reading = Reading((1.5 if turn % 2 else 0.5,), 30.0)
        outcome = assess(rule, reading, machine.level_of(alert))
        alert, transitions = machine.advance(alert, outcome, rule, own=T0 + 5 * turn)
        changes += [transition.change for transition in transitions]
        alert = told(alert) if transitions else alert

    assert changes == [Change.FIRED, Change.RESOLVED] * 59 + [Change.FIRED]


@pytest.mark.parametrize(("low", "fires"), [(0.9, 1), (0.8, 60)], ids=["within", "beyond"])
def test_hysteresis_takes_small_swings_for_one_breach(low: float, fires: int) -> None:
    rule = slow()
    alert, changes = IDLE, []
    for turn in range(120):
        reading = Reading((low if turn % 2 else 1.1,), 30.0)
        outcome = assess(rule, reading, machine.level_of(alert))
        alert, transitions = machine.advance(alert, outcome, rule, own=T0 + 5 * turn)
        changes += [transition.change for transition in transitions]
        alert = told(alert) if transitions else alert

    assert changes.count(Change.FIRED) == fires


def test_value_at_the_threshold_does_not_fire() -> None:
    rule = slow()

    outcome = assess(rule, Reading((1.0,), 30.0), None)

    assert machine.advance(IDLE, outcome, rule, own=T0)[0] is IDLE
