"""Which channels an alert goes to, and in which group."""

from __future__ import annotations

import pytest

from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.builtin import CHANNEL_FAILING
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.routing import Router, labelled
from alerts_svc.domain.severity import Severity

CHANNELS = {
    "slack": Channel("slack", Kind.SLACK),
    "mail": Channel("mail", Kind.EMAIL),
    "off": Channel("off", Kind.WEBHOOK, enabled=False),
    "gone": Channel("gone", Kind.WEBHOOK, disabled_reason="410"),
    "beat": Channel("beat", Kind.HEARTBEAT),
    "console": Channel("console", Kind.CONSOLE, enabled=False),
}
LABELS = {"alertname": "latency", "operation": "answer", "severity": "critical"}
CRITICAL = (Matcher("severity", "critical"),)


def reached(*routes: Route, fallback: str | None = None) -> list[tuple[str, ...]]:
    router = Router(Configuration(routes=routes, fallback=fallback), CHANNELS)
    return [destination.channels for destination in router.destinations(LABELS)]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], [("mail", "slack", "console")]),
        (
            [Route("a", (Matcher("severity", "warning"),), ("mail",))],
            [("mail", "slack", "console")],
        ),
        ([Route("a", CRITICAL, ("mail",)), Route("b", channels=("slack",))], [("mail", "console")]),
        (
            [Route("a", proceed=True, channels=("mail",)), Route("b")],
            [("mail", "console"), ("slack",)],
        ),
        ([Route("a", channels=("console",))], [("console",)]),
        ([Route("a", channels=())], [("console",)]),
        ([Route("a", channels=("nobody", "slack", "off"))], [("slack", "console")]),
    ],
    ids=["no routes", "none matches", "first", "continue", "console", "nowhere", "some unusable"],
)
def test_routes_lead_to_channels(routes: list[Route], expected: list[tuple[str, ...]]) -> None:
    assert reached(*routes) == expected


@pytest.mark.parametrize("name", ["off", "gone", "beat", "nobody"])
def test_the_fallback_stands_in_where_no_channel_can_be_used(name: str) -> None:
    route = Route("a", channels=(name,))

    assert reached(route, fallback="mail") == [("mail", "console")]
    assert reached(route, fallback="off") == [("console",)]
    assert reached(route) == [("console",)]


def test_that_a_channel_fails_is_told_on_the_others() -> None:
    labels = {"alertname": CHANNEL_FAILING, "channel": "slack"}

    (destination,) = Router(Configuration(), CHANNELS).destinations(labels)

    assert destination.channels == ("mail", "console")


def test_a_group_is_named_by_its_route_and_labels() -> None:
    route = Route("pages", group_by=("operation", "model"))

    (destination,) = Router(Configuration(routes=(route,)), CHANNELS).destinations(LABELS)

    assert destination.key == 'pages:{operation="answer",model=""}'
    assert destination.labels == (("operation", "answer"), ("model", ""))


def test_a_groups_key_keeps_values_apart_and_short() -> None:
    router = Router(Configuration(group_by=("a", "b")), {})
    sets = [
        {"a": 'x",b="y'},
        {"a": "x", "b": "y"},
        {"a": "x\\"},
        {"a": "x" * 10**6},
        {"a": "x" * 999},
    ]

    keys = [router.destinations(labels)[0].key for labels in sets]

    assert len(set(keys)) == len(sets)
    assert max(map(len, keys)) < 300


def test_the_severity_of_the_incident_is_a_label() -> None:
    incident = Incident("i", 0.0, 1, Severity.CRITICAL)

    assert labelled(
        Alert("f", {"a": "b"}, "rule", severity=Severity.WARNING, incident=incident)
    ) == {
        "a": "b",
        "severity": "critical",
    }
    assert labelled(Alert("f", {"a": "b"}, "rule")) == {"a": "b"}


def test_what_a_sender_says_of_the_severity_stays() -> None:
    incident = Incident("i", 0.0, 1, Severity.CRITICAL)

    assert labelled(Alert("f", {"severity": "page"}, incident=incident)) == {"severity": "page"}
    assert labelled(Alert("f", {}, incident=incident)) == {"severity": "critical"}
