"""What holds of every history: alerts that come and go, silences, acknowledgements, changed routes, time that passes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts_svc.domain import dispatch
from alerts_svc.domain.alert import Change, Transition
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.configuration import Configuration, Inhibition, MuteWindow, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.severity import rank
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge, Close
from tests.alerts_svc.scene import CRITICAL, RULE, WARNING, Scene, channels

OPERATIONS = ("answer", "search", "redis")
KINDS = {"slack": Kind.SLACK, "mail": Kind.EMAIL, "pager": Kind.PAGERDUTY}
ALL = Configuration(repeat_seconds=1800)
ROUTED = replace(
    ALL,
    routes=(
        Route(
            "pages", (Matcher("severity", "critical"),), ("pager",), ("operation",), proceed=True
        ),
        Route("rest", channels=("mail",)),
    ),
    inhibitions=(Inhibition("redis", (Matcher("operation", "redis"),), ()),),
    mute_windows=(
        MuteWindow("night", (Matcher("operation", "search"),), frozenset({4}), 500, 520),
    ),
)

Step = Callable[[Scene], object]


def _silence(scene: Scene, operation: str, seconds: float) -> None:
    matchers = (Matcher("operation", operation),)
    scene.silences(Silence(operation, matchers, scene.wall, scene.wall + seconds, "ann", ""))


def _acknowledge(scene: Scene, number: int) -> None:
    found = [alert.incident.id for alert in scene.world.alerts.values() if alert.incident]
    if found:
        until = scene.wall + 700
        scene.commands(Acknowledge(found[number % len(found)], "ann", until))


def _close(scene: Scene, number: int) -> None:
    found = [alert.incident.id for alert in scene.world.alerts.values() if alert.incident]
    if found:
        scene.commands(Close(found[number % len(found)], "ann"))


def _disable(scene: Scene, name: str, enabled: bool) -> None:
    changed = {**scene.world.channels, name: replace(scene.world.channels[name], enabled=enabled)}
    scene.world = replace(scene.world, channels=changed)


operations = st.sampled_from(OPERATIONS)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda operation, severity: lambda scene: scene.fires(operation, severity),
        operations,
        st.sampled_from((WARNING, CRITICAL)),
    ),
    st.builds(lambda operation: lambda scene: scene.clears(operation), operations),
    st.builds(lambda operation: lambda scene: scene.lacks(operation), operations),
    st.builds(
        lambda operation, seconds: lambda scene: _silence(scene, operation, seconds),
        operations,
        st.sampled_from((20.0, 400.0, 2000.0)),
    ),
    st.builds(lambda number: lambda scene: _acknowledge(scene, number), st.integers(0, 2)),
    st.builds(lambda number: lambda scene: _close(scene, number), st.integers(0, 2)),
    st.builds(
        lambda name, enabled: lambda scene: _disable(scene, name, enabled),
        st.sampled_from(sorted(KINDS)),
        st.booleans(),
    ),
    st.builds(lambda found: lambda scene: scene.configures(found), st.sampled_from((ALL, ROUTED))),
)
histories = st.lists(
    st.tuples(st.lists(steps, max_size=4), st.sampled_from((1.0, 5.0, 31.0, 320.0, 950.0))),
    max_size=25,
)


def _played(history: list[tuple[list[Step], float]]) -> Scene:
    scene = Scene(ALL, channels(**KINDS))
    for found, seconds in history:
        for step in found:
            step(scene)
        scene.tick()
        scene.after(seconds)
    return scene


def _items(scene: Scene) -> list[tuple[Message, Item]]:
    return [(message, item) for message in scene.messages for item in message.items if item.change]


@settings(max_examples=150, deadline=None)
@given(histories)
def test_every_channel_that_was_told_that_it_fired_is_told_that_it_is_over(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)
    for operation in OPERATIONS:
        scene.clears(operation)
    scene.tick()

    told: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for message, item in _items(scene):
        assert item.change is not None
        told[item.incident, message.channel].append(item.change)

    for changes in told.values():
        assert changes[0] is Change.FIRED
        assert changes[-1] is Change.RESOLVED
        assert Counter(changes)[Change.FIRED] == Counter(changes)[Change.RESOLVED] == 1
    assert all(alert.incident is None for alert in scene.world.alerts.values())
    assert scene.world.groups == {}


@settings(max_examples=150, deadline=None)
@given(histories)
def test_sequences_rise_for_each_incident_and_channel_and_ids_are_unique(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)

    last: dict[tuple[str, str], int] = {}
    for message in scene.messages:
        for incident, sequence in message.told:
            assert sequence > last.get((incident, message.channel), 0)
            last[incident, message.channel] = sequence
    assert len({message.id for message in scene.messages}) == len(scene.messages)


@settings(max_examples=150, deadline=None)
@given(histories)
def test_no_alert_is_told_to_fire_twice_in_its_cooldown_unless_it_is_worse(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)

    last: dict[str, Item] = {}
    at: dict[str, float] = {}
    for message, item in _items(scene):
        if item.change is not Change.FIRED or message.channel != "console":
            continue
        before = last.get(item.fingerprint)
        if before is not None and rank(item.severity) <= rank(before.severity):
            assert message.created_at - at[item.fingerprint] >= RULE.cooldown_seconds
        last[item.fingerprint], at[item.fingerprint] = item, message.created_at


@settings(max_examples=150, deadline=None)
@given(histories)
def test_deciding_again_at_the_same_time_changes_nothing(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)
    scene.tick()
    before = scene.world

    again = scene.tick()

    assert (again.messages, again.alerts, again.decisions, again.transitions) == ((), (), (), ())
    assert (again.forgotten, again.groups, again.ended_groups) == ((), (), ())
    assert scene.world == before


@settings(max_examples=150, deadline=None)
@given(histories)
def test_it_is_known_beforehand_when_time_alone_makes_something_happen(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)
    scene.tick()
    scene.commands()

    later = scene.next()

    assert later is None or later > 0
    own = scene.own + (3600.0 if later is None else later) - 0.001
    quiet = dispatch.decide(scene.world, own=own, wall=own)
    assert quiet.messages == ()


@settings(max_examples=150, deadline=None)
@given(histories)
def test_every_transition_has_the_next_number_of_its_incident(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)

    made: dict[str, list[Transition]] = defaultdict(list)
    for changes in scene.changes:
        for transition in changes.transitions:
            made[transition.incident].append(transition)
    for transitions in made.values():
        assert [one.sequence for one in transitions] == list(range(1, len(transitions) + 1))


@settings(max_examples=150, deadline=None)
@given(histories)
def test_what_is_open_and_held_by_nothing_was_told(
    history: list[tuple[list[Step], float]],
) -> None:
    scene = _played(history)
    scene.tick()

    for alert in scene.world.alerts.values():
        incident = alert.incident
        if incident is not None and incident.held_by is None:
            assert incident.channels >= {"console"}
            assert incident.owed is None
