"""Who is told of what, once; groups, reminders, resolves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Route
from alerts_svc.domain.matcher import Matcher
from tests.alerts_svc.scene import CRITICAL, NOW, RULE, Scene, channels, decided, told

PAGES = Configuration(
    routes=(
        Route("pages", (Matcher("severity", "critical"),), ("pager",), proceed=True),
        Route("rest", channels=("slack",)),
    )
)
BOTH = channels(slack=Kind.SLACK, pager=Kind.PAGERDUTY)


def test_what_fires_is_told_at_once_on_the_console_and_on_all_channels() -> None:
    scene = Scene(channels=channels(slack=Kind.SLACK, mail=Kind.EMAIL))
    identity = scene.fires("answer")

    changes = scene.tick()

    assert told(changes) == {"console": "first", "mail": "first", "slack": "first"}
    incident = scene.incident(identity)
    assert incident.channels == {"console", "mail", "slack"}
    assert (incident.owed, incident.told_at, incident.told_severity) == (None, NOW, "warning")
    assert scene.world.alerts[identity].fired_at == NOW
    assert decided(changes) == [("fired", "told", "console, mail, slack")]


def test_it_is_told_once() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()

    changes = scene.after(5).tick()

    assert changes.messages == ()
    assert changes.alerts == ()


def test_a_resolve_goes_to_every_channel_that_was_told() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    scene.after(60).clears("answer")

    changes = scene.tick()

    assert told(changes) == {"console": "all_resolved", "slack": "all_resolved"}
    assert {message.status for message in changes.messages} == {"resolved"}
    assert scene.world.alerts[identity].incident is None


def test_all_messages_of_an_incident_tell_the_same_start_although_the_clock_was_set() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.skew = 0.012
    scene.after(60).clears("answer")
    scene.tick()

    starts = {item.starts_at for message in scene.messages for item in message.items}

    assert starts == {NOW}


def test_a_resolve_reaches_a_channel_that_was_told_although_the_routes_have_changed() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.configures(Configuration(routes=(Route("nobody", channels=()),)))
    scene.clears("answer")

    assert told(scene.tick()) == {"console": "all_resolved", "slack": "all_resolved"}


def test_a_resolve_reaches_a_channel_that_was_told_although_it_was_disabled() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    slack = Channel("slack", Kind.SLACK, enabled=False)
    scene.world = replace(scene.world, channels={"slack": slack})
    scene.clears("answer")

    assert set(told(scene.tick())) == {"console", "slack"}


def test_the_end_is_told_to_a_channel_that_was_deleted_for_whoever_stands_in() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.world = replace(scene.world, channels={})
    scene.clears("answer")

    assert set(told(scene.tick())) == {"console", "slack"}


def test_what_was_over_before_it_was_told_is_never_told() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.clears("answer")

    changes = scene.tick()

    assert changes.messages == ()
    assert decided(changes) == [("resolved", "not_told", "over")]
    assert scene.world.alerts == {}


def test_an_alert_that_rises_before_it_was_told_is_told_once_with_the_higher_severity() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.fires("answer", CRITICAL)

    (console, _) = scene.tick().messages

    assert [(item.change, item.severity) for item in console.items] == [("fired", "critical")]
    assert console.told == ((scene.incident(identity).id, 2),)


def test_an_escalation_is_told_and_reaches_a_new_channel_as_if_it_had_just_fired() -> None:
    scene = Scene(PAGES, BOTH)
    identity = scene.fires("answer")
    assert set(told(scene.tick())) == {"console", "slack"}
    scene.after(2).fires("answer", CRITICAL)

    changes = scene.tick()

    by_channel = {message.channel: message.items[0].change for message in changes.messages}
    assert by_channel == {
        "console": Change.ESCALATED,
        "slack": Change.ESCALATED,
        "pager": Change.FIRED,
    }
    assert scene.incident(identity).channels == {"console", "slack", "pager"}


def test_an_escalation_that_has_fallen_again_before_it_was_told_is_not_told() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    incident = replace(scene.incident(identity), owed=Change.ESCALATED, owed_at=NOW)
    alert = replace(scene.world.alerts[identity], incident=incident)
    scene.world = replace(scene.world, alerts={identity: alert})

    changes = scene.after(1).tick()

    assert changes.messages == ()
    assert decided(changes) == [("escalated", "not_told", "over")]


def test_the_second_alert_of_a_group_waits_for_the_group_interval() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    second = scene.after(5).fires("search")

    assert decided(scene.tick()) == [("fired", "held", "group_interval")]
    assert scene.incident(second).held_by == "group_interval"
    assert scene.next() == 10
    changes = scene.after(10).tick()

    assert told(changes) == {"console": "new", "slack": "new"}
    assert [item.change for item in changes.messages[0].items] == [Change.FIRED, None]


@pytest.mark.parametrize("urgent", ["critical", "escalation", "resolve"])
def test_what_is_urgent_does_not_wait_and_takes_along_all_that_its_group_owes(urgent: str) -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.after(5).fires("search")
    scene.tick()
    match urgent:
        case "critical":
            scene.after(1).fires("index", CRITICAL)
        case "escalation":
            scene.after(1).fires("answer", CRITICAL)
        case "resolve":
            scene.after(1).clears("answer")

    (console, slack) = scene.tick().messages

    assert "search" in {item.labels["operation"] for item in console.items if item.change}
    assert console.items == slack.items


def test_groups_of_other_labels_do_not_wait_for_each_other() -> None:
    scene = Scene(Configuration(group_by=("operation",)))
    scene.fires("answer")
    scene.tick()
    scene.after(1).fires("search")

    changes = scene.tick()

    assert told(changes) == {"console": "first", "slack": "first"}
    assert changes.messages[0].group_key == 'default:{operation="search"}'


def test_all_messages_of_an_episode_share_a_thread_and_the_next_one_has_its_own() -> None:
    scene = Scene(rules=(rule := replace(RULE, cooldown_seconds=0.0),))
    for seconds in (0, 100):
        scene.after(seconds).fires("answer", rule=rule)
        scene.tick()
        scene.after(30).clears("answer", rule)
        scene.tick()

    threads = [message.thread for message in scene.messages if message.channel == "slack"]

    assert threads[0] == threads[1] != threads[2] == threads[3]
    assert scene.world.groups == {}


def test_a_group_lives_until_its_last_alert_is_resolved() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.fires("search")
    scene.tick()
    scene.after(30).clears("answer")
    partly = scene.tick()
    scene.after(30).clears("search")
    wholly = scene.tick()

    assert told(partly)["slack"] == "resolved"
    assert partly.messages[0].status == "firing"
    assert partly.messages[0].counts == {"firing": 1, "resolved": 1}
    assert partly.ended_groups == ()
    assert told(wholly)["slack"] == "all_resolved"
    assert wholly.ended_groups == ('default:{alertname="latency"}',)


def test_a_group_goes_on_when_its_last_alert_is_over_as_another_one_begins() -> None:
    scene = Scene()
    scene.fires("answer")
    (first, _) = scene.tick().messages
    scene.after(30).clears("answer")
    scene.fires("search")

    changes = scene.tick()

    assert changes.ended_groups == ()
    assert changes.messages[0].thread == first.thread
    assert changes.messages[0].counts == {"firing": 1, "resolved": 1, "new": 1}


def test_an_alert_of_two_groups_goes_out_when_one_of_them_may_speak() -> None:
    routes = (
        Route("by rule", channels=("slack",), proceed=True),
        Route("by operation", channels=("mail",), group_by=("operation",)),
    )
    scene = Scene(Configuration(routes=routes), channels(slack=Kind.SLACK, mail=Kind.EMAIL))
    scene.fires("answer")
    scene.tick()
    scene.after(5).fires("search")

    assert told(scene.tick()) == {"slack": "new", "console": "new", "mail": "first"}


def test_people_are_reminded_of_what_still_fires() -> None:
    scene = Scene(Configuration(repeat_seconds=3600))
    identity = scene.fires("answer")
    scene.tick()

    assert scene.next() == 3600
    assert scene.after(3599).tick().messages == ()
    changes = scene.after(1).tick()

    assert told(changes) == {"console": "reminder", "slack": "reminder"}
    assert [one.change for one in changes.transitions] == [Change.REMINDER]
    assert scene.incident(identity).sequence == 2
    assert scene.next() == 3600


def test_without_a_repeat_nobody_is_reminded() -> None:
    scene = Scene(Configuration(repeat_seconds=0))
    scene.fires("answer")
    scene.tick()

    assert scene.next() is None
    assert scene.after(1e6).tick().messages == ()


def test_no_data_is_told_and_the_alert_stays_open() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.after(30).lacks("answer")
    identity = scene.after(300).lacks("answer")

    changes = scene.tick()

    assert told(changes) == {"console": "no_data", "slack": "no_data"}
    assert changes.messages[0].status == "firing"
    assert scene.incident(identity).resolved_at is None


def test_pagerduty_is_told_of_each_incident_by_itself() -> None:
    scene = Scene(channels=BOTH)
    scene.fires("answer")
    scene.fires("search")

    changes = scene.tick()

    told_of = [(message.channel, len(message.items)) for message in changes.messages]
    assert sorted(told_of) == [("console", 2), ("pager", 1), ("pager", 1), ("slack", 2)]
    queues = {m.queue for m in changes.messages if m.channel == "pager"}
    assert queues == {m.told[0][0] for m in changes.messages if m.channel == "pager"}
    assert {m.queue for m in changes.messages if m.channel != "pager"} == {""}


def test_two_routes_tell_a_channel_once() -> None:
    routes = (Route("a", channels=("slack",), proceed=True), Route("b", channels=("slack",)))
    scene = Scene(Configuration(routes=routes))
    scene.fires("answer")

    assert [message.channel for message in scene.tick().messages] == ["slack", "console"]


def test_heartbeats_are_given_once_an_interval_and_only_after_an_evaluation() -> None:
    beat = Channel("beat", Kind.HEARTBEAT, {"interval_seconds": 60})
    scene = Scene(channels={"beat": beat})

    assert scene.tick().messages == ()
    first = scene.tick(evaluated=True)
    again = scene.after(30).tick(evaluated=True)
    second = scene.after(30).tick(evaluated=True)

    assert told(first) == told(second) == {"beat": "heartbeat"}
    assert again.messages == ()
    assert first.messages[0].id != second.messages[0].id


def test_a_heartbeat_channel_that_is_disabled_is_given_none() -> None:
    beat = Channel("beat", Kind.HEARTBEAT, enabled=False)
    scene = Scene(channels={"beat": beat})

    assert scene.tick(evaluated=True).messages == ()


def test_a_heartbeat_channel_is_told_of_no_alert() -> None:
    scene = Scene(channels=channels(beat=Kind.HEARTBEAT))
    scene.fires("answer")

    assert set(told(scene.tick())) == {"console"}


def test_an_alert_is_forgotten_when_its_cooldown_is_over() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    scene.after(60).clears("answer")
    scene.tick()

    assert identity in scene.world.alerts
    assert scene.after(839).tick().forgotten == ()
    assert scene.after(1).tick().forgotten == (identity,)
    assert scene.world.alerts == {}


def test_an_alert_that_pends_is_neither_told_nor_forgotten() -> None:
    scene = Scene(rules=(rule := replace(RULE, for_seconds=60.0),))
    identity = scene.fires("answer", rule=rule)

    changes = scene.tick()

    assert (changes.messages, changes.forgotten) == ((), ())
    assert identity in scene.world.alerts


def test_the_same_news_make_the_same_message_whenever_it_is_decided() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.fires("search")
    world = scene.world
    first = [message.id for message in scene.tick().messages]
    scene.world = replace(world, alerts=dict(reversed([*world.alerts.items()])))

    again = [message.id for message in scene.after(3).tick().messages]

    assert first == again
    assert len(set(first)) == 2
