"""What stands in a message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Change
from alerts_svc.domain.composing import MAX_PAIRS, MAX_VALUE
from alerts_svc.domain.message import ChangeEvent, Item, Message
from alerts_svc.domain.reading import Finding
from alerts_svc.domain.rule import BurnRate, BurnWindow
from alerts_svc.domain.world import Posted
from tests.alerts_svc.scene import CRITICAL, NOW, RULE, WARNING, Scene


def only(scene: Scene) -> tuple[Message, Item]:
    message = scene.tick().messages[0]
    return message, message.items[0]


def test_an_item_says_what_was_found_and_what_the_rule_knows() -> None:
    scene = Scene()
    identity = scene.fires("answer")

    message, item = only(scene)

    assert item == Item(
        incident=scene.incident(identity).id,
        sequence=1,
        change=Change.FIRED,
        fingerprint=identity,
        labels={"alertname": "latency", "operation": "answer", "severity": "warning"},
        annotations={"summary": "slow answers", "impact": "people wait"},
        severity=WARNING,
        starts_at=NOW,
        rule="latency",
        value=6200.0,
        threshold=3000.0,
        comparison=">",
        unit="ms",
        window_seconds=300,
        samples=40.0,
        actions=("look at the dashboard",),
        seen_at=NOW,
    )
    assert message.group_labels == {"alertname": "latency"}
    assert (message.severity, message.status, message.created_at) == (WARNING, "firing", NOW)


def test_times_are_those_of_the_wall_clock() -> None:
    scene = Scene(skew=3600.0)
    scene.fires("answer")
    _, fired = only(scene)
    scene.after(60).clears("answer")
    _, resolved = only(scene)

    assert (fired.starts_at, fired.ends_at) == (NOW + 3600, None)
    assert (resolved.starts_at, resolved.ends_at) == (NOW + 3600, NOW + 3660)


def test_news_come_first_and_the_most_severe_of_them() -> None:
    scene = Scene()
    scene.fires("old", CRITICAL)
    scene.tick()
    scene.after(30).fires("warning")
    scene.fires("critical", CRITICAL)

    message, _ = only(scene)

    assert [item.labels["operation"] for item in message.items] == ["critical", "warning", "old"]
    assert [item.change for item in message.items] == [Change.FIRED, Change.FIRED, None]
    assert message.counts == {"firing": 3, "resolved": 0, "new": 2}
    assert message.severity is CRITICAL


def test_a_message_is_as_severe_as_what_still_fires() -> None:
    scene = Scene()
    scene.fires("bad", CRITICAL)
    scene.fires("less")
    scene.tick()
    scene.after(30).clears("bad")
    partly, _ = only(scene)
    scene.after(30).clears("less")
    wholly, _ = only(scene)

    assert (partly.reason, partly.severity) == ("resolved", WARNING)
    assert (wholly.reason, wholly.severity) == ("all_resolved", WARNING)


@pytest.mark.parametrize(("factor", "seconds"), [(6.0, 21_600), (14.4, 3600), (1.0, 3600)])
def test_a_burn_rate_is_told_with_the_window_that_burns(factor: float, seconds: int) -> None:
    windows = (BurnWindow(3600, 300, 14.4, CRITICAL), BurnWindow(21_600, 1800, 6.0, WARNING))
    rule = replace(RULE, condition=BurnRate("errors", "requests", 0.999, windows), unit="")
    scene = Scene(rules=(rule,))
    scene.finds("answer", Finding(WARNING, 20.0, factor, 40.0), rule)

    _, item = only(scene)

    assert (item.comparison, item.unit, item.window_seconds) == (">", "x", seconds)


def test_what_people_changed_lately_is_told_with_what_fires_and_the_newest_first() -> None:
    events = tuple(
        ChangeEvent(str(at), "flag", f"f{at}", "", "ann", NOW + at) for at in (-4000, -600, -30, 9)
    )
    scene = Scene()
    scene.world = replace(scene.world, changes=events)
    scene.fires("answer")
    fired, _ = only(scene)
    scene.after(60).clears("answer")
    resolved, _ = only(scene)

    assert [event.name for event in fired.changes] == ["f-30", "f-600"]
    assert resolved.changes == ()


def test_what_a_stranger_posts_is_bounded() -> None:
    labels = {"alertname": "x" * 10**6, **{f"label{n}": "v" for n in range(200)}}
    scene = Scene()
    scene.commands((Posted(labels, {"summary": "s" * 10**6}, NOW, None, "u" * 10**6, NOW),))

    message, item = only(scene)

    assert len(item.labels) <= MAX_PAIRS
    texts = (*item.labels.values(), *item.annotations.values(), item.generator_url)
    assert max(map(len, texts)) <= MAX_VALUE
    assert len(message.group_labels["alertname"]) <= MAX_VALUE
    assert item.comparison == item.unit == ""


def test_what_the_service_says_of_itself_has_neither_window_nor_samples() -> None:
    rule = builtin.rules()[builtin.CHANNEL_FAILING]
    scene = Scene()
    scene.finds("", Finding(WARNING, 3.0, 3.0, 1.0), rule)

    _, item = only(scene)

    assert (item.rule, item.window_seconds, item.samples) == (rule.name, None, 0.0)
    assert (item.value, item.threshold, item.comparison) == (3.0, 3.0, ">=")


def test_an_alert_whose_rule_is_gone_is_told_without_it() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.world = replace(scene.world, rules={})

    _, item = only(scene)

    assert (item.rule, item.actions, item.window_seconds) == ("latency", (), None)
