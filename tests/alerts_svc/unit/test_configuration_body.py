from __future__ import annotations

from typing import Any

import orjson
import pytest

from alerts_svc.domain.configuration import Configuration, MuteWindow
from alerts_svc.domain.matcher import Matcher
from alerts_svc.wire.configuration import parse_configuration, tell_configuration
from windsock_kit.errors import InvalidError

GIVEN = {
    "version": 1,
    "group_by": ["alertname", "operation"],
    "group_interval_seconds": 30.0,
    "repeat_seconds": 0.0,
    "fallback": "mail",
    "routes": [
        {
            "name": "pages",
            "matchers": [
                {"name": "severity", "value": "critical", "is_regex": False, "is_equal": True}
            ],
            "channels": ["pager", "console"],
            "group_by": None,
            "continue": True,
        }
    ],
    "inhibitions": [
        {
            "name": "down",
            "source": [{"name": "a", "value": "b", "is_regex": False, "is_equal": True}],
            "target": [{"name": "c", "value": "d|e", "is_regex": True, "is_equal": False}],
            "equal": ["environment"],
        }
    ],
    "mute_windows": [
        {
            "name": "nights",
            "matchers": [],
            "weekdays": ["monday", "sunday"],
            "start": "22:30",
            "end": "06:00",
            "time_zone": "Europe/Berlin",
        }
    ],
}
CHANNELS = ["mail", "pager"]


def parse(**changed: Any) -> Configuration:
    return parse_configuration(orjson.dumps(GIVEN | changed), CHANNELS)


def test_what_is_told_is_what_was_given() -> None:
    assert tell_configuration(parse()) == GIVEN


def test_a_mute_window_counts_minutes_and_days_from_monday() -> None:
    (window,) = parse().mute_windows

    assert window == MuteWindow("nights", (), frozenset({0, 6}), 1350, 360, "Europe/Berlin")


def test_a_matcher_may_be_a_string() -> None:
    routes = [{"name": "a", "matchers": ['operation!~"x|y"', "team=llm"]}]

    (route,) = parse(routes=routes).routes

    assert route.matchers == (Matcher("operation", "x|y", True, False), Matcher("team", "llm"))
    assert (route.channels, route.group_by, route.proceed) == (None, None, False)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"fallback": "none"}, "fallback"),
        ({"group_by": ["a-b"]}, "group_by[0]"),
        ({"group_interval_seconds": -1}, "group_interval_seconds"),
        ({"routes": [{"name": "a", "channels": ["mail", "none"]}]}, "routes[0].channels[1]"),
        ({"routes": [{"name": "a"}, {"name": "a"}]}, "routes[1].name"),
        ({"routes": [{"name": "a", "matchers": ["x"]}]}, "routes[0].matchers[0]"),
        ({"routes": [{"name": "a", "matchers": ['x=~"("']}]}, "routes[0].matchers[0]"),
        ({"routes": [{"name": "a", "matchers": [{"name": "x"}]}]}, "routes[0].matchers[0].value"),
        (
            {"inhibitions": [{"name": "a", "source": [], "target": ["a=b"]}]},
            "inhibitions[0].source",
        ),
        ({"mute_windows": [GIVEN["mute_windows"][0] | {"end": "25:00"}]}, "mute_windows[0].end"),  # type: ignore[index]
        ({"mute_windows": [GIVEN["mute_windows"][0] | {"end": "22:30"}]}, "mute_windows[0].end"),  # type: ignore[index]
        (
            {"mute_windows": [GIVEN["mute_windows"][0] | {"time_zone": "../x"}]},  # type: ignore[index]
            "mute_windows[0].time_zone",
        ),
        (
            {"mute_windows": [GIVEN["mute_windows"][0] | {"weekdays": ["mon"]}]},  # type: ignore[index]
            "mute_windows[0].weekdays[0]",
        ),
        ({"receivers": []}, "receivers"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_by_its_path(changed: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse(**changed)

    assert caught.value.path == path
