"""Why somebody was told, or was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain.alert import Alert, Change, Decision, Transition
from alerts_svc.domain.explanation import (
    Attempted,
    Evidence,
    Measured,
    Queued,
    explained,
    verdict,
)
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.rule import Comparison
from alerts_svc.domain.rule import Threshold as Limit
from alerts_svc.domain.silence import Silence
from tests.alerts_svc.scene import NOW, RULE, WARNING

FIRED = Transition("i", "f", 1, Change.FIRED, NOW, WARNING, 6200.0, 3000.0)
HELD = Decision("i", "f", NOW, Change.FIRED, "held", "silence:s1")
SILENCE = Silence("s1", (Matcher("operation", "answer"),), NOW, NOW + 600, "ann", "deploy")
SENT = Queued("m1", "slack", NOW + 1, "first", "sent", "i", 1)


def texts(found: Evidence) -> list[str]:
    return [entry.text for entry in explained(found)]


def test_the_whole_story_is_told_in_order() -> None:
    found = Evidence(
        transitions=(FIRED,),
        decisions=(Decision("i", "f", NOW, Change.FIRED, "told", "console, slack"),),
        queued=(SENT,),
        attempts=(
            Attempted("m1", "slack", 1, NOW + 1, NOW + 1.5, "retry", 429, "slow down", NOW + 31),
            Attempted("m1", "slack", 2, NOW + 31, NOW + 31.2, "sent", 200),
        ),
        measured=(Measured(NOW - 5, 900.0, 39.0), Measured(NOW, 6200.0, 40.0)),
        rule=RULE,
        skew=-1.0,
    )

    entries = explained(found)

    assert [entry.text for entry in entries] == [
        "Evaluated: 900 ms, 39 samples, within the limit.",
        "Evaluated: 6,200 ms, 40 samples, over the limit.",
        "Fired (warning): 6,200 ms against 3,000 ms.",
        "That it fires is told on console, slack.",
        "Message for slack put in the outbox (first).",
        "Attempt 1 on slack: failed after 500 ms (status 429): slow down; again at 2027-01-15 08:00:30 UTC.",
        "Attempt 2 on slack: delivered after 200 ms (status 200).",
    ]
    assert entries[0].at == NOW - 6
    assert verdict(found) == "Told on slack."


def test_evaluations_that_found_the_same_are_one_entry() -> None:
    values = [900.0, 1100.0, None, None, 3500.0, 3000.0]
    measured = tuple(Measured(NOW + 5 * n, value, 40.0) for n, value in enumerate(values))

    entries = explained(Evidence(measured=measured, rule=RULE))

    assert [(entry.text, entry.count, entry.outcome) for entry in entries] == [
        ("2 evaluations: 900 ms to 1,100 ms, 40 samples, within the limit.", 2, "clear"),
        ("2 evaluations: no value.", 2, "no_data"),
        ("Evaluated: 3,500 ms, 40 samples, over the limit.", 1, "breach"),
        ("Evaluated: 3,000 ms, 40 samples, within the limit.", 1, "clear"),
    ]
    assert (entries[0].at, entries[0].until) == (NOW, NOW + 5)


def test_too_few_samples_are_told_as_such() -> None:
    measured = (Measured(NOW, None, 18.0),)

    assert texts(Evidence(measured=measured, rule=replace(RULE, min_samples=20))) == [
        "Evaluated: only 18 samples, and it takes 20."
    ]


def test_a_message_comes_after_what_it_tells_whatever_the_clocks_say() -> None:
    found = Evidence(transitions=(FIRED,), queued=(replace(SENT, at=NOW - 0.02),))

    assert [(entry.kind, entry.at) for entry in explained(found)] == [
        ("transition", NOW),
        ("message", NOW),
    ]


@pytest.mark.parametrize("change", [Change.NO_DATA, Change.ACKNOWLEDGED, Change.REMINDER])
def test_only_what_was_measured_is_told_with_a_value(change: Change) -> None:
    (text,) = texts(Evidence(transitions=(replace(FIRED, change=change),)))

    assert "6,200" not in text


@pytest.mark.parametrize(
    ("comparison", "over"),
    [
        (Comparison.ABOVE, [False, False, True]),
        (Comparison.AT_LEAST, [False, True, True]),
        (Comparison.BELOW, [True, False, False]),
        (Comparison.AT_MOST, [True, True, False]),
    ],
)
def test_over_the_limit_is_what_the_rule_says(comparison: Comparison, over: list[bool]) -> None:
    assert isinstance(RULE.condition, Limit)
    condition = replace(RULE.condition, comparison=comparison, warning=2.0, critical=None)
    rule = replace(RULE, condition=condition)

    found = [
        explained(Evidence(measured=(Measured(NOW, value, 1.0),), rule=rule))[0].outcome == "breach"
        for value in (1.0, 2.0, 3.0)
    ]

    assert found == over


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("silence:s1", "by a silence of ann (deploy) until 2027-01-15 08:10:00 UTC"),
        ("silence:gone", "by the silence gone"),
        ("inhibition:r", "because Redis down fires"),
        ("inhibition:gone", "because gone fires"),
        ("mute:night", "by the mute window night"),
        ("cooldown", "by the cooldown after it fired before"),
        ("group_interval", "for the next message of its group"),
    ],
)
def test_what_held_something_back_is_named(reason: str, expected: str) -> None:
    found = Evidence(
        transitions=(FIRED,),
        decisions=(replace(HELD, reason=reason),),
        silences={"s1": SILENCE},
        alerts={"r": Alert("r", {"alertname": "Redis down"})},
    )

    assert texts(found)[-1] == f"That it fires is not told yet: held back {expected}."
    assert verdict(found) == f"Nobody was told: held back {expected}."


@pytest.mark.parametrize(
    ("change", "reason", "expected"),
    [
        (Change.RESOLVED, "rule_deleted", "Resolved, as its rule was deleted."),
        (Change.RESOLVED, "closed_by:ann", "Resolved, closed by ann."),
        (Change.RESOLVED, "", "Resolved."),
        (Change.ACKNOWLEDGED, "by:ann", "Acknowledged, by ann."),
        (
            Change.NO_DATA,
            "expired",
            "No data any more; it stays open, as its sender has fallen silent.",
        ),
        (Change.REMINDER, "", "A reminder is due, as it still fires."),
    ],
)
def test_a_transition_says_why(change: Change, reason: str, expected: str) -> None:
    one = replace(FIRED, change=change, reason=reason, value=None)

    assert texts(Evidence(transitions=(one,))) == [expected]


def test_what_is_never_told_says_so() -> None:
    over = replace(HELD, change=Change.RESOLVED, outcome="not_told", reason="over")
    muted = replace(over, reason="mute:night")

    assert texts(Evidence(decisions=(over, muted))) == [
        "That it is resolved is not told: it was over before anything was said.",
        "That it is resolved is not told: it is over, and before that it was held back by the mute window night.",
    ]


def test_what_was_held_until_it_was_over_names_what_held_it() -> None:
    over = replace(HELD, at=NOW + 60, change=Change.RESOLVED, outcome="not_told", reason="over")
    other = replace(HELD, incident="another", reason="cooldown")

    found = texts(Evidence(decisions=(HELD, other, over), silences={"s1": SILENCE}))

    assert found[-1] == (
        "That it is resolved is not told: it is over, and before that it was held back by a silence of ann (deploy)"
        " until 2027-01-15 08:10:00 UTC."
    )


def test_a_message_that_could_not_be_delivered_says_why() -> None:
    failed = replace(SENT, status="failed", why="404 no_service")
    waiting = replace(SENT, channel="mail", status="waiting")
    found = Evidence(transitions=(FIRED,), queued=(failed, waiting))

    assert verdict(found) == "Still to be delivered on mail; could not be delivered on slack."
    assert texts(found)[1:] == [
        "Message for slack put in the outbox (first); it could not be delivered: 404 no_service.",
        "Message for mail put in the outbox (first); waiting.",
    ]


def test_an_attempt_of_which_nobody_knows_the_end_says_so() -> None:
    died = Attempted("m1", "slack", 1, NOW, None, None)
    cut = Attempted("m1", "slack", 2, NOW + 9, NOW + 10, "unknown", None, "connection lost")
    refused = Attempted("m1", "slack", 3, NOW + 20, NOW + 90, "refused", 404)
    found = Evidence(attempts=(died, cut, refused))

    assert texts(found) == [
        "Attempt 1 on slack: begun; how it ended is not known.",
        "Attempt 2 on slack: cut off after 1 s, and the receiver may have it: connection lost.",
        "Attempt 3 on slack: refused for good after 1 min 10 s (status 404).",
    ]
    assert explained(found)[0].outcome == "unknown"


def test_an_alert_from_elsewhere_has_no_limit_to_name() -> None:
    found = Evidence(
        transitions=(replace(FIRED, threshold=None),), measured=(Measured(NOW, 5.0, 1.0),)
    )

    assert texts(found) == ["Evaluated: 5, 1 sample.", "Fired (warning): 6,200."]


def test_without_a_transition_it_has_not_fired() -> None:
    assert verdict(Evidence()) == "Nobody was told: it has not fired."
    assert verdict(Evidence(transitions=(FIRED,))) == "Nobody has been told yet."
