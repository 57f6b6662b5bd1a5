"""The checker finds each kind of broken promise when one is planted in a history that had none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from alerts_svc.domain.alert import Change
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from tests.alerts_svc.simulation.checker import check
from tests.alerts_svc.simulation.history import (
    Arrived,
    Attempted,
    Committed,
    Decided,
    Event,
    Fault,
    History,
    Measured,
    PutOff,
    Queued,
    Ruled,
    Silenced,
    Taken,
    Telling,
)

CHANNELS = ("console", "slack")
RULE = Rule(
    "latency",
    "simulated",
    Threshold(Query("latency", "avg", 60, None, ("operation",)), Comparison.ABOVE, warning=100.0),
    for_seconds=10.0,
    cooldown_seconds=60.0,
)


def _told(at: float, incident: str, sequence: int, change: Change) -> list[Event]:
    """Return the events of one transition that is committed, told and delivered."""
    commit = int(at)
    telling = Telling(incident, sequence, change, "f", "search")
    found: list[Event] = [
        Committed(at, commit, at, incident, "f", sequence, change),
        Decided(at, commit, at, incident, "f", change, "told", "", 1),
    ]
    for channel in CHANNELS:
        message = f"{channel}-{incident}-{sequence}"
        found += [
            Queued(at, commit, message, channel, (telling,), at),
            Attempted(at + 0.1, "a", channel, message, "ok"),
            Arrived(at + 0.2, channel, message),
        ]
    return found


def _kept() -> History:
    """Return a run in which every promise is kept: two breaches, and a page and its end for each."""
    return History(
        alerts={"f": ("latency", "search")},
        channels=["slack"],
        ended_at=600.0,
        events=[
            Ruled(0.0, "latency", RULE),
            Taken(0.0, "a1", 1),
            Measured(0.0, "latency", "search", 10.0),
            Measured(50.0, "latency", "search", 150.0),
            *_told(62.0, "one", 1, Change.FIRED),
            Measured(100.0, "latency", "search", 20.0),
            *_told(103.0, "one", 2, Change.RESOLVED),
            Measured(200.0, "latency", "search", 150.0),
            *_told(213.0, "two", 1, Change.FIRED),
            Measured(300.0, "latency", "search", 20.0),
            *_told(303.0, "two", 2, Change.RESOLVED),
        ],
    )


def _without(history: History, *gone: str) -> list[Event]:
    """Return the events but those of the named messages."""
    return [event for event in history.events if getattr(event, "id", "") not in gone]


def _lost_page(history: History) -> list[Event]:
    return [
        event
        for event in history.events
        if not (isinstance(event, Arrived) and event.id == "slack-one-1")
    ]


def _late_page(history: History) -> list[Event]:
    return [
        replace(event, at=event.at + 200.0)
        if isinstance(event, Arrived) and event.id == "slack-two-2"
        else event
        for event in history.events
    ]


def _missed_breach(history: History) -> list[Event]:
    return [
        event
        for event in _without(
            history, "slack-two-1", "slack-two-2", "console-two-1", "console-two-2"
        )
        if getattr(event, "incident", "") != "two"
    ]


def _untold_incident(history: History) -> list[Event]:
    return [
        event
        for event in _without(history, "slack-two-1", "console-two-1")
        if not (isinstance(event, Decided) and event.incident == "two")
    ]


def _one_channel_left_out(history: History) -> list[Event]:
    return _without(history, "slack-two-1")


def _told_under_two_ids(history: History) -> list[Event]:
    telling = Telling("one", 1, Change.FIRED, "f", "search")
    return [
        *history.events,
        Queued(70.0, 70, "slack-again", "slack", (telling,), 70.0),
        Arrived(70.1, "slack", "slack-again"),
    ]


def _copy_without_a_cause(history: History) -> list[Event]:
    return [*history.events, Arrived(64.0, "slack", "slack-one-1")]


def _swapped(history: History) -> list[Event]:
    times = {"slack-one-1": 104.0, "slack-one-2": 103.5}
    moved = [
        replace(event, at=times[event.id])
        if isinstance(event, Arrived) and event.id in times
        else event
        for event in history.events
    ]
    return sorted(moved, key=lambda event: event.at)


def _fired_without_a_breach(history: History) -> list[Event]:
    return [
        replace(event, value=90.0) if isinstance(event, Measured) and event.at == 200.0 else event
        for event in history.events
    ]


def _fired_before_its_time(history: History) -> list[Event]:
    rule = replace(RULE, for_seconds=60.0)
    return [Ruled(0.0, "latency", rule), *history.events[1:]]


def _resolved_for_lack_of_data(history: History) -> list[Event]:
    return [
        replace(event, value=None) if isinstance(event, Measured) and event.at == 300.0 else event
        for event in history.events
    ]


def _resolve_missing(history: History) -> list[Event]:
    return _without(history, "slack-one-2")


def _fired_in_the_cooldown(history: History) -> list[Event]:
    return [Ruled(0.0, "latency", replace(RULE, cooldown_seconds=300.0)), *history.events[1:]]


def _silence_ignored(history: History) -> list[Event]:
    return [*history.events, Silenced(150.0, "quiet", "search", 150.0, 400.0)]


def _own_time_stepped(history: History) -> list[Event]:
    return [
        replace(event, own=event.own + 3600.0)
        if isinstance(event, Decided) and event.at > 200.0
        else event
        for event in history.events
    ]


def _called_too_soon(history: History) -> list[Event]:
    busy: list[Event] = [
        Attempted(62.05, "a", "slack", "slack-one-1", "busy", 30.0),
        PutOff(62.07, "slack", "slack-one-1", 30.0),
    ]
    place = next(i for i, event in enumerate(history.events) if isinstance(event, Attempted))
    return [*history.events[:place], *busy, *history.events[place:]]


def test_a_run_that_keeps_every_promise_is_right() -> None:
    assert check(_kept()) == []


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (_missed_breach, "I1 breaches fire"),
        (_untold_incident, "I1 told or held"),
        (_one_channel_left_out, "I1 told or held"),
        (_lost_page, "I2 in time"),
        (_late_page, "I2 in time"),
        (_told_under_two_ids, "I3 once"),
        (_copy_without_a_cause, "I3 copies"),
        (_swapped, "I4 order"),
        (_fired_without_a_breach, "I5 breach"),
        (_fired_before_its_time, "I5 breach"),
        (_resolved_for_lack_of_data, "I5 breach"),
        (_resolve_missing, "I6 resolve"),
        (_fired_in_the_cooldown, "I7 cooldown"),
        (_silence_ignored, "I8 silence"),
        (_own_time_stepped, "own time"),
        (_called_too_soon, "retry-after"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_planted_fault_is_found(plant: Callable[[History], list[Event]], found: str) -> None:
    history = _kept()
    history.events = plant(history)

    assert found in {line.split(":")[0] for line in check(history)}


def test_a_copy_after_a_crash_is_allowed() -> None:
    history = _kept()
    history.events += [Fault(62.5, 77.5, "crash"), Arrived(72.0, "slack", "slack-one-1")]

    assert check(history) == []
