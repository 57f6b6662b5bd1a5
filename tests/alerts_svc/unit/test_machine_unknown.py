"""The life of an alert of which nothing is known for a while: no data, too little of it, no answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Change, State
from alerts_svc.domain.reading import Failed, Missing, Outcome
from tests.alerts_svc.unit.lives import (
    AWAY,
    BREACH,
    CLEAR,
    CRITICAL,
    FEW,
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


@pytest.mark.parametrize("missing", [SILENCE, FEW], ids=["nothing", "too few samples"])
def test_no_data_is_told_once_and_never_resolves(missing: Missing) -> None:
    rule = slow(no_data_seconds=300)

    alert, changes = lived(
        rule, (0, BREACH), (5, missing), (304, missing), (305, missing), (5000, missing)
    )

    assert changes == [(0, Change.FIRED), (305, Change.NO_DATA)]
    assert alert.state is State.NO_DATA
    assert machine.open_incident(alert) is not None
    assert alert.value == 1.5


def test_no_data_after_it_was_told_is_owed() -> None:
    firing, _ = lived(slow(), (0, BREACH))

    alert, _ = lived(slow(no_data_seconds=0), (5, SILENCE), alert=told(firing))

    assert incident_of(alert).owed is Change.NO_DATA


def test_no_data_does_not_hide_a_rise_that_is_owed() -> None:
    firing, _ = lived(slow(), (0, BREACH))

    alert, _ = lived(slow(no_data_seconds=0), (5, WORSE), (10, SILENCE), alert=told(firing))

    assert incident_of(alert).owed is Change.ESCALATED


def test_breach_after_no_data_resumes() -> None:
    rule = slow(no_data_seconds=10)
    firing, _ = lived(rule, (0, BREACH))

    alert, changes = lived(
        rule, (5, SILENCE), (15, SILENCE), (20, WORSE), (25, WORSE), alert=told(firing)
    )

    assert changes == [(15, Change.NO_DATA), (20, Change.RESUMED), (20, Change.ESCALATED)]
    assert incident_of(alert).owed is Change.ESCALATED
    assert alert.no_data_at is None


def test_no_data_that_is_over_before_it_was_told_is_no_longer_owed() -> None:
    rule = slow(no_data_seconds=0)
    firing, _ = lived(rule, (0, BREACH))

    alert, _ = lived(rule, (5, SILENCE), (10, BREACH), alert=told(firing))

    assert incident_of(alert).owed is None


def test_short_lack_of_data_is_not_worth_a_word() -> None:
    _, changes = lived(slow(), (0, BREACH), (5, SILENCE), (10, BREACH))

    assert changes == [(0, Change.FIRED)]


def test_good_data_after_no_data_resolves() -> None:
    rule = slow(no_data_seconds=10)

    _, changes = lived(rule, (0, BREACH), (5, SILENCE), (15, SILENCE), (20, CLEAR))

    assert changes[-1] == (20, Change.RESOLVED)


def test_good_data_after_no_data_resumes_while_it_keeps_firing() -> None:
    rule = slow(no_data_seconds=0, keep_firing_seconds=60)

    alert, changes = lived(rule, (0, BREACH), (5, SILENCE), (10, CLEAR), (15, CLEAR))

    assert changes == [(0, Change.FIRED), (5, Change.NO_DATA), (10, Change.RESUMED)]
    assert alert.state is State.FIRING


def test_pending_alert_outlives_a_short_lack_of_data() -> None:
    rule = slow(for_seconds=60)

    alert, changes = lived(rule, (0, BREACH), (30, SILENCE), (60, BREACH))

    assert changes == [(60, Change.FIRED)]
    assert alert.no_data_at is None


def test_pending_alert_is_dropped_after_a_long_lack_of_data() -> None:
    rule = slow(for_seconds=3600, no_data_seconds=300)

    alert, changes = lived(rule, (0, BREACH), (30, FEW), (330, FEW))

    assert changes == []
    assert alert.state is State.INACTIVE
    assert alert.active_at is None


def test_lack_of_data_alone_fires_where_the_rule_says_so() -> None:
    rule = replace(slow(no_data_seconds=300), no_data_severity=CRITICAL)

    alert, changes = lived(rule, (0, SILENCE), (299, SILENCE), (300, SILENCE), (900, SILENCE))

    assert changes == [(300, Change.FIRED)]
    assert alert.state is State.NO_DATA
    assert (alert.severity, alert.value, alert.threshold) == (CRITICAL, None, None)
    assert alert.active_at == T0
    assert machine.level_of(alert) is None


def test_transition_says_that_it_fired_for_lack_of_data() -> None:
    rule = replace(slow(no_data_seconds=0), no_data_severity=CRITICAL)

    _, transitions = machine.advance(IDLE, SILENCE, rule, own=T0)

    assert [transition.reason for transition in transitions] == ["no_data"]


def test_few_samples_are_no_lack_of_data() -> None:
    rule = replace(slow(no_data_seconds=300), no_data_severity=CRITICAL)

    alert, changes = lived(rule, (0, SILENCE), (100, FEW), (310, SILENCE), (600, SILENCE))

    assert changes == []
    assert alert.no_data_at == T0 + 310


def test_data_after_firing_for_lack_of_it_resolves() -> None:
    rule = replace(slow(no_data_seconds=0), no_data_severity=CRITICAL)

    _, changes = lived(rule, (0, SILENCE), (5, CLEAR))

    assert changes == [(0, Change.FIRED), (5, Change.RESOLVED)]


def test_breach_after_firing_for_lack_of_data_goes_on_with_the_incident() -> None:
    rule = replace(slow(no_data_seconds=0), no_data_severity=CRITICAL)

    alert, changes = lived(rule, (0, SILENCE), (5, BREACH))

    assert changes == [(0, Change.FIRED), (5, Change.RESUMED), (5, Change.DEESCALATED)]
    assert machine.level_of(alert) is WARNING


def test_pending_alert_fires_for_lack_of_data_instead_of_being_dropped() -> None:
    rule = replace(slow(for_seconds=3600, no_data_seconds=300), no_data_severity=WARNING)

    alert, changes = lived(rule, (0, BREACH), (30, SILENCE), (330, SILENCE))

    assert changes == [(330, Change.FIRED)]
    assert alert.threshold is None


def test_lack_of_data_raises_what_fires_less_severely() -> None:
    rule = replace(slow(no_data_seconds=10), no_data_severity=CRITICAL)

    alert, changes = lived(rule, (0, BREACH), (5, SILENCE), (15, SILENCE))

    assert changes == [(0, Change.FIRED), (15, Change.NO_DATA), (15, Change.ESCALATED)]
    assert alert.severity is CRITICAL


def test_failed_evaluation_moves_nothing() -> None:
    rule = slow(no_data_seconds=10)

    alert, changes = lived(rule, (0, BREACH), (5, AWAY), (5000, AWAY))

    assert changes == [(0, Change.FIRED)]
    assert (alert.state, alert.error) == (State.ERROR, AWAY.reason)
    assert machine.open_incident(alert) is not None


def test_failed_evaluation_leaves_idle_alerts_alone() -> None:
    assert machine.advance(IDLE, AWAY, slow(), own=T0)[0] is IDLE


def test_failure_that_goes_on_changes_nothing() -> None:
    failed, _ = lived(slow(), (0, BREACH), (5, AWAY))

    assert machine.advance(failed, AWAY, slow(), own=T0 + 10)[0] is failed
    assert machine.advance(failed, Failed("other"), slow(), own=T0 + 10)[0].error == "other"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(BREACH, State.FIRING), (SILENCE, State.NO_DATA), (CLEAR, State.INACTIVE)],
)
def test_answer_after_a_failure_is_taken_as_ever(outcome: Outcome, state: State) -> None:
    alert, _ = lived(slow(), (0, BREACH), (5, AWAY), (10, outcome))

    assert (alert.state, alert.error) == (state, None)


def test_failure_while_pending_does_not_start_for_anew() -> None:
    _, changes = lived(slow(for_seconds=60), (0, BREACH), (30, AWAY), (60, BREACH))

    assert changes == [(60, Change.FIRED)]


def test_lack_of_data_waits_until_the_last_resolve_is_told() -> None:
    rule = replace(slow(no_data_seconds=0), no_data_severity=CRITICAL)
    resolved, _ = lived(rule, (0, BREACH), (5, CLEAR))

    waiting, none = lived(rule, (10, SILENCE), alert=resolved)
    _, changes = lived(rule, (15, SILENCE), alert=told(waiting))

    assert none == []
    assert changes == [(15, Change.FIRED)]
