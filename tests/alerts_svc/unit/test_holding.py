"""What holds back a telling, and for how long."""

from __future__ import annotations

from dataclasses import replace

from alerts_svc.domain.channel import Kind
from alerts_svc.domain.configuration import Configuration, Inhibition, MuteWindow
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge
from tests.alerts_svc.scene import CRITICAL, NOW, RULE, WARNING, Scene, channels, decided, told

ANSWERS = (Matcher("operation", "answer"),)
SILENCE = Silence("s1", ANSWERS, NOW, NOW + 600, "ann", "deploy")
# NOW is a Friday, 08:00 UTC.
MUTED = Configuration(mute_windows=(MuteWindow("early", ANSWERS, frozenset({4}), 0, 540),))


def test_a_silenced_alert_is_not_told_until_the_silence_ends() -> None:
    scene = Scene()
    scene.silences(SILENCE)
    identity = scene.fires("answer")

    assert decided(scene.tick()) == [("fired", "held", "silence:s1")]
    assert scene.incident(identity).held_by == "silence:s1"
    assert scene.next() == 600
    assert scene.after(599).tick().decisions == ()
    assert told(scene.after(1).tick()) == {"console": "first", "slack": "first"}


def test_what_was_silenced_until_it_was_over_is_never_told() -> None:
    scene = Scene()
    scene.silences(SILENCE)
    scene.fires("answer")
    scene.tick()
    scene.after(60).clears("answer")

    changes = scene.tick()

    assert changes.messages == ()
    assert decided(changes) == [("resolved", "not_told", "silence:s1")]


def test_a_silenced_alert_whose_page_was_told_still_resolves() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.silences(SILENCE)
    scene.after(60).clears("answer")

    assert told(scene.tick()) == {"console": "all_resolved", "slack": "all_resolved"}


def test_a_silence_counts_by_the_wall_clock() -> None:
    scene = Scene(skew=-1.0)
    scene.silences(SILENCE)
    scene.fires("answer")

    assert set(told(scene.tick())) == {"console", "slack"}


def test_a_silenced_alert_is_not_listed_with_those_that_still_fire() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.fires("search")
    scene.tick()
    scene.silences(SILENCE)
    scene.after(30).fires("index")

    (console, _) = scene.tick().messages

    assert [item.labels["operation"] for item in console.items] == ["index", "search"]
    assert console.counts["firing"] == 2


def test_a_mute_window_holds_back_until_it_ends() -> None:
    scene = Scene(MUTED)
    scene.fires("answer")

    assert decided(scene.tick()) == [("fired", "held", "mute:early")]
    assert scene.next() == 3600
    assert set(told(scene.after(3600).tick())) == {"console", "slack"}


def test_a_mute_window_that_is_gone_frees_at_the_next_tick() -> None:
    scene = Scene(MUTED)
    scene.fires("answer")
    scene.tick()
    scene.configures(Configuration())

    assert scene.next() == 0
    assert set(told(scene.tick())) == {"console", "slack"}


def test_an_inhibited_alert_is_told_when_its_source_is_over() -> None:
    inhibition = Inhibition("redis", (Matcher("operation", "redis"),), ANSWERS)
    scene = Scene(Configuration(inhibitions=(inhibition,), group_by=("operation",)))
    source = scene.fires("redis", CRITICAL)
    scene.fires("answer")

    assert ("fired", "held", f"inhibition:{source}") in decided(scene.tick())
    assert scene.next() == 14_400
    scene.after(30).clears("redis")

    assert ("fired", "told", "console, slack") in decided(scene.tick())


def test_an_alert_that_fires_again_in_its_cooldown_waits_for_its_end() -> None:
    scene = Scene()
    scene.fires("answer")
    scene.tick()
    scene.after(60).clears("answer")
    scene.tick()
    scene.after(60).fires("answer")

    assert decided(scene.tick()) == [("fired", "held", "cooldown")]
    assert scene.next() == 780
    assert scene.after(779).tick().messages == ()
    assert set(told(scene.after(1).tick())) == {"console", "slack"}


def test_a_higher_severity_breaks_the_cooldown() -> None:
    scene = Scene()
    scene.fires("answer", WARNING)
    scene.tick()
    scene.after(60).clears("answer")
    scene.tick()
    scene.after(60).fires("answer", CRITICAL)

    assert set(told(scene.tick())) == {"console", "slack"}


def test_a_critical_that_was_told_as_an_escalation_has_its_cooldown_too() -> None:
    scene = Scene()
    scene.fires("answer", WARNING)
    scene.tick()
    scene.after(30).fires("answer", CRITICAL)
    scene.tick()
    scene.after(30).clears("answer")
    scene.tick()
    scene.after(60).fires("answer", CRITICAL)

    assert decided(scene.tick()) == [("fired", "held", "cooldown")]


def test_an_alert_between_two_levels_pages_once_in_a_cooldown() -> None:
    scene = Scene()
    scene.fires("answer", WARNING)
    scene.tick()
    scene.after(30).fires("answer", CRITICAL)
    scene.tick()
    scene.after(30).fires("answer", WARNING)
    scene.tick()
    scene.after(30).fires("answer", CRITICAL)

    assert decided(scene.tick()) == [("escalated", "held", "cooldown")]
    assert scene.next() == 840
    assert told(scene.after(840).tick())["slack"] == "escalated"


def test_an_acknowledged_alert_is_not_reminded_of_until_that_expires() -> None:
    scene = Scene(Configuration(repeat_seconds=600))
    identity = scene.fires("answer")
    scene.tick()
    scene.commands(Acknowledge(scene.incident(identity).id, "ann", NOW + 3600))
    scene.tick()

    assert scene.next() == 3600
    assert scene.after(3599).tick().messages == ()
    assert told(scene.after(1).tick())["slack"] == "reminder"


def test_lack_of_data_of_an_acknowledged_alert_waits() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    scene.commands(Acknowledge(identity, "ann", NOW + 3600))
    scene.tick()
    scene.after(30).lacks("answer")
    scene.after(300).lacks("answer")

    assert decided(scene.tick()) == [("no_data", "held", "acknowledged")]
    assert scene.next() == 3270
    assert told(scene.after(3270).tick())["slack"] == "no_data"


def test_an_acknowledged_alert_that_rises_is_told() -> None:
    scene = Scene()
    identity = scene.fires("answer")
    scene.tick()
    scene.commands(Acknowledge(identity, "ann", NOW + 3600))
    scene.after(30).fires("answer", CRITICAL)

    assert told(scene.tick())["slack"] == "escalated"


def test_a_reason_is_written_down_when_it_changes() -> None:
    scene = Scene(replace(MUTED))
    scene.silences(SILENCE)
    scene.fires("answer")

    found = [
        decided(scene.tick()),
        decided(scene.after(30).tick()),
        decided(scene.after(570).tick()),
    ]

    assert found == [
        [("fired", "held", "silence:s1")],
        [],
        [("fired", "held", "mute:early")],
    ]


def test_a_silence_that_is_gone_frees_at_the_next_tick() -> None:
    scene = Scene()
    scene.silences(SILENCE)
    scene.fires("answer")
    scene.tick()
    scene.world = replace(scene.world, silences={})

    assert scene.next() == 0
    assert set(told(scene.tick())) == {"console", "slack"}


def test_a_rule_without_cooldown_fires_each_time() -> None:
    scene = Scene(rules=(rule := replace(RULE, cooldown_seconds=0.0),))
    for _ in range(2):
        scene.after(30).fires("answer", rule=rule)
        scene.tick()
        scene.after(30).clears("answer", rule)
        scene.tick()

    assert [one.reason for one in scene.messages if one.channel == "slack"] == [
        "first",
        "all_resolved",
        "first",
        "all_resolved",
    ]


def test_only_a_pager_hears_of_an_acknowledgement() -> None:
    scene = Scene(channels=channels(slack=Kind.SLACK, pager=Kind.PAGERDUTY))
    identity = scene.fires("answer")
    scene.tick()
    scene.after(5).commands(Acknowledge(identity, "ann", NOW + 3600))

    changes = scene.tick()

    assert told(changes) == {"pager": "acknowledged"}
    assert changes.messages[0].items[0].acknowledged_by == "ann"
    assert scene.tick().messages == ()
