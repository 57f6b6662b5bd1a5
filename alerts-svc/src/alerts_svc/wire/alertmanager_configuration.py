"""The configuration in Alertmanager's own form, so that ``amtool config`` can read and try it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from alerts_svc.domain.configuration import Configuration, Route
from alerts_svc.domain.matcher import Matcher


def original(configuration: Configuration, channels: Iterable[str]) -> str:
    """Return the document as YAML. What Alertmanager has no word for is left out: fallback and mute windows.

    A receiver stands for all channels that a route leads to, and is named after them; no setting of a channel,
    which may be secret, is in it.
    """
    everywhere = tuple(sorted(channels))
    routes = [_route(route, everywhere) for route in configuration.routes]
    names = {_receiver(everywhere), *(route["receiver"] for route in routes)}
    root: dict[str, Any] = {
        "receiver": _receiver(everywhere),
        "group_by": list(configuration.group_by),
        "group_wait": "0s",
        "group_interval": _duration(configuration.group_interval_seconds),
    }
    if configuration.repeat_seconds:
        root["repeat_interval"] = _duration(configuration.repeat_seconds)
    document = {
        "route": root | ({"routes": routes} if routes else {}),
        "inhibit_rules": [
            {
                "source_matchers": _texts(inhibition.source),
                "target_matchers": _texts(inhibition.target),
                "equal": list(inhibition.equal),
            }
            for inhibition in configuration.inhibitions
        ],
        "receivers": [{"name": name} for name in sorted(names)],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _route(route: Route, everywhere: Sequence[str]) -> dict[str, Any]:
    chosen = everywhere if route.channels is None else route.channels
    made: dict[str, Any] = {"receiver": _receiver(chosen), "matchers": _texts(route.matchers)}
    if route.group_by is not None:
        made["group_by"] = list(route.group_by)
    return made | ({"continue": True} if route.proceed else {})


def _receiver(channels: Sequence[str]) -> str:
    return ", ".join(channels) or "console"


def _texts(matchers: Iterable[Matcher]) -> list[str]:
    return [str(matcher) for matcher in matchers]


def _duration(seconds: float) -> str:
    # Prometheus' durations are whole milliseconds.
    return f"{max(1, round(seconds * 1000))}ms" if seconds % 1 else f"{round(seconds)}s"
