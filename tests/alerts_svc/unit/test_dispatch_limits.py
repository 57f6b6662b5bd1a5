"""Ten thousand alerts at once: bounded messages, pages in portions, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.grouping import MAX_GROUPS
from alerts_svc.domain.message import MAX_ITEMS
from alerts_svc.domain.telling import MAX_PAGES
from alerts_svc.domain.world import Acknowledge, Changes, Close, applied
from tests.alerts_svc.scene import CRITICAL, Scene, channels


@pytest.fixture
def storm() -> Scene:
    scene = Scene(channels=channels(slack=Kind.SLACK, pager=Kind.PAGERDUTY))
    fire(scene, 250)
    return scene


def fire(scene: Scene, count: int) -> None:
    identity = scene.fires("0")
    one, incident = scene.world.alerts[identity], scene.incident(identity)
    alerts = {
        name: replace(
            one,
            fingerprint=name,
            labels={**one.labels, "operation": name},
            incident=replace(incident, id=name),
        )
        for name in (f"op{number}" for number in range(count - 1))
    }
    scene.world = replace(scene.world, alerts={**scene.world.alerts, **alerts})


def rise(scene: Scene) -> None:
    """Let every alert become critical."""
    for name, alert in scene.world.alerts.items():
        incident = scene.incident(name)
        after, _ = machine.step(
            alert, replace(incident, severity=CRITICAL), Change.ESCALATED, own=scene.own
        )
        scene.world = applied(scene.world, Changes(alerts=(after,)))


def behind(scene: Scene) -> str:
    """Return an incident that the pager has not been told of yet."""
    incidents = [alert.incident for alert in scene.world.alerts.values()]
    return next(one.id for one in incidents if one is not None and one.behind)


def test_ten_thousand_alerts_make_one_bounded_message() -> None:
    scene = Scene()
    fire(scene, 10_000)

    (slack, _) = scene.tick().messages

    assert len(slack.items) == MAX_ITEMS
    assert slack.truncated == 10_000 - MAX_ITEMS
    assert slack.counts == {"firing": 10_000, "resolved": 0, "new": 10_000}
    assert len(slack.told) == 10_000


def test_a_pager_is_told_in_portions_and_each_incident_once(storm: Scene) -> None:
    portions = []
    for _ in range(4):
        portions.append([m for m in storm.tick().messages if m.channel == "pager"])
        storm.after(5)

    assert [len(portion) for portion in portions] == [MAX_PAGES, MAX_PAGES, 50, 0]
    assert len({m.items[0].incident for portion in portions for m in portion}) == 250
    assert {m.items[0].change for portion in portions for m in portion} == {Change.FIRED}
    assert [m.channel for m in storm.messages].count("slack") == 1
    assert storm.next() == 14_400 - 20


def test_what_is_left_over_is_decided_soon(storm: Scene) -> None:
    storm.tick()

    assert storm.next() == 5


def test_a_new_critical_goes_before_what_the_pager_is_behind_with(storm: Scene) -> None:
    storm.tick()
    storm.after(1).fires("new", CRITICAL)

    first = next(m for m in storm.tick().messages if m.channel == "pager")

    assert first.items[0].labels["operation"] == "new"


def test_a_pager_that_was_not_told_is_not_told_of_the_end(storm: Scene) -> None:
    storm.tick()
    late = behind(storm)
    storm.commands(Close(late, "ann"))

    told = {m.channel for m in storm.tick().messages if (late, 2) in m.told}

    assert told == {"console", "slack"}


def test_a_pager_that_is_behind_hears_of_a_rise_as_of_a_new_alert(storm: Scene) -> None:
    storm.tick()
    storm.fires("last")
    identity = storm.fires("last", CRITICAL)

    pages = [m for m in storm.tick().messages if m.channel == "pager"]

    assert pages[0].told == ((storm.incident(identity).id, 2),)


def test_who_acknowledges_before_the_pager_was_told_is_not_paged_twice(storm: Scene) -> None:
    storm.tick()
    storm.commands(Acknowledge(behind(storm), "ann", storm.wall + 600))
    for _ in range(3):
        storm.after(5).tick()

    told = [m.told for m in storm.messages if m.channel == "pager"]

    assert len(told) == len(set(told)) == 250


def test_more_groups_than_a_tick_takes_wait_for_the_next() -> None:
    scene = Scene(Configuration(group_by=("operation",)), channels={})
    fire(scene, MAX_GROUPS + 10)

    first, second = scene.tick(), scene.after(5).tick()

    assert len(first.messages) == MAX_GROUPS
    assert len(second.messages) == 10


def test_what_is_over_is_told_at_once_whatever_the_limits() -> None:
    scene = Scene(Configuration(group_by=("operation",)), channels(pager=Kind.PAGERDUTY))
    fire(scene, MAX_GROUPS + 10)
    for _ in range(6):
        scene.tick()
        scene.after(5)
    incidents = [alert.incident for alert in scene.world.alerts.values()]
    scene.commands(*(Close(one.id, "ann") for one in incidents if one is not None))

    changes = scene.tick()

    assert len(changes.messages) == 2 * (MAX_GROUPS + 10)
    assert scene.world.groups == {}
    assert all(alert.incident is None for alert in scene.world.alerts.values())


def test_a_pager_behind_with_a_rise_that_hears_of_an_acknowledgement_is_up_to_date(
    storm: Scene,
) -> None:
    for _ in range(3):
        storm.tick()
        storm.after(5)
    storm.after(15)
    rise(storm)
    storm.tick()
    storm.commands(Acknowledge(behind(storm), "ann", storm.wall + 600))
    for _ in range(3):
        storm.after(5).tick()

    told = [pair for m in storm.messages if m.channel == "pager" for pair in m.told]

    assert len(told) == len(set(told)) == 500
