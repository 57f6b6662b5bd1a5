"""Where open alerts stand: whom they go to, and what holds them back."""

from __future__ import annotations

from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Inhibition, MuteWindow, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.standing import standings
from alerts_svc.domain.world import World

NOW = 1_800_000_000.0  # a Friday, 08:00 UTC


def fired(name: str, severity: Severity = Severity.WARNING, *, over: bool = False) -> Alert:
    incident = Incident(name, NOW, 1, severity, resolved_at=NOW if over else None)
    return Alert(name, {"alertname": name}, name, incident=incident)


WORLD = World(
    1,
    alerts={
        "b": fired("b"),
        "a": fired("a", Severity.CRITICAL),
        "over": fired("over", over=True),
        "pends": Alert("pends", {"alertname": "pends"}, "pends", active_at=NOW),
    },
    channels={name: Channel(name, Kind.WEBHOOK) for name in ("mail", "pager")},
    configuration=Configuration(
        routes=(
            Route("pages", (Matcher("severity", "critical"),), ("pager",), proceed=True),
            Route("all", channels=("mail",)),
        )
    ),
)


def with_configuration(**parts: object) -> World:
    return World(1, alerts=WORLD.alerts, configuration=Configuration(**parts))  # type: ignore[arg-type]


def test_open_alerts_are_listed_in_order_with_severity_and_channels() -> None:
    found = standings(WORLD, wall=NOW)

    assert [(each.labels, each.receivers) for each in found] == [
        ({"alertname": "a", "severity": "critical"}, ("console", "mail", "pager")),
        ({"alertname": "b", "severity": "warning"}, ("console", "mail")),
    ]
    assert not any(each.suppressed for each in found)


def test_a_silence_in_force_holds_back_and_others_do_not() -> None:
    def silence(name: str, begin: float, end: float) -> Silence:
        return Silence(name, (Matcher("severity", "warning"),), NOW + begin, NOW + end, "ann", "")

    now, later = silence("now", -1, 1), silence("later", 1, 2)
    world = World(1, alerts=WORLD.alerts, silences={"now": now, "later": later})

    assert [each.silenced_by for each in standings(world, wall=NOW)] == [(), ("now",)]


def test_an_inhibition_is_told_with_its_source() -> None:
    inhibition = Inhibition("down", (Matcher("alertname", "a"),), (Matcher("alertname", "b"),))
    world = with_configuration(inhibitions=(inhibition,))

    assert [each.inhibited_by for each in standings(world, wall=NOW)] == [(), ("a",)]


def test_a_mute_window_is_told_by_name_while_it_is_in_effect() -> None:
    window = MuteWindow("night", (Matcher("alertname", "b"),), frozenset({4}), 7 * 60, 9 * 60)
    world = with_configuration(mute_windows=(window,))

    assert [each.muted_by for each in standings(world, wall=NOW)] == [(), ("night",)]
    assert not any(each.muted_by for each in standings(world, wall=NOW + 3_600))
