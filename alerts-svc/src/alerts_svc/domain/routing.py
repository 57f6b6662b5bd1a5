"""Where an alert goes: the routes that match it, their channels, and its group in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Alert
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Route
from alerts_svc.domain.labels import ALERTNAME, SEVERITY, Labels, fingerprint

# The channel that is always there: it gets everything, whatever the routes say.
CONSOLE = "console"
DEFAULT_ROUTE = Route("default")
# A longer value stands in a group's key by its beginning and its hash.
MAX_VALUE = 200


@dataclass(frozen=True, slots=True)
class Destination:
    """One group that an alert belongs to, and the channels that hear of it there."""

    key: str
    labels: tuple[tuple[str, str], ...]
    channels: tuple[str, ...]


def labelled(alert: Alert) -> Labels:
    """Return the labels that are matched, routed by and shown: those of the alert, and its severity.

    What a sender from elsewhere says of the severity stays as it was said.
    """
    severity = alert.severity if alert.incident is None else alert.incident.severity
    if severity is None or (alert.rule is None and alert.labels.get(SEVERITY)):
        return alert.labels
    return {**alert.labels, SEVERITY: severity.value}


def usable(channel: Channel) -> bool:
    """Return whether a channel may be given new messages about alerts."""
    return (
        channel.enabled and channel.disabled_reason is None and channel.kind is not Kind.HEARTBEAT
    )


class Router:
    """Holds alerts against the routes of one configuration."""

    def __init__(self, configuration: Configuration, channels: Mapping[str, Channel]) -> None:
        self._configuration = configuration
        self._usable = tuple(
            sorted(name for name, found in channels.items() if name != CONSOLE and usable(found))
        )

    def destinations(self, labels: Labels) -> tuple[Destination, ...]:
        """Return the groups of an alert, at least one; no channel is in two of them, and one has the console.

        Where none of the channels that a route names can be used, the fallback stands in for them.
        """
        taken: set[str] = set()
        found: list[Destination] = []
        for route in self._matching(labels):
            wanted = (*self._channels(route, labels), *(() if found else (CONSOLE,)))
            channels = tuple(name for name in dict.fromkeys(wanted) if name not in taken)
            taken.update(channels)
            if channels:
                found.append(self._destination(route, labels, channels))
        return tuple(found)

    def _matching(self, labels: Labels) -> Sequence[Route]:
        found: list[Route] = []
        for route in self._configuration.routes:
            if all(matcher.matches(labels) for matcher in route.matchers):
                found.append(route)
                if not route.proceed:
                    break
        # Better heard by everybody than by nobody.
        return found or (DEFAULT_ROUTE,)

    def _channels(self, route: Route, labels: Labels) -> Sequence[str]:
        possible = self._possible(labels)
        if route.channels is None:
            return possible
        named = tuple(name for name in route.channels if name in possible)
        fallback = self._configuration.fallback
        if not named and set(route.channels) - {CONSOLE} and fallback in possible:
            return (fallback,)
        return named

    def _possible(self, labels: Labels) -> tuple[str, ...]:
        # That a channel fails is told over the others.
        if labels.get(ALERTNAME) != builtin.CHANNEL_FAILING or builtin.CHANNEL not in labels:
            return self._usable
        return tuple(name for name in self._usable if name != labels[builtin.CHANNEL])

    def _destination(self, route: Route, labels: Labels, channels: tuple[str, ...]) -> Destination:
        names = self._configuration.group_by if route.group_by is None else route.group_by
        pairs = tuple((name, labels.get(name, "")) for name in names)
        written = ",".join(f"{name}={_quoted(value)}" for name, value in pairs)
        return Destination(f"{route.name}:{{{written}}}", pairs, channels)


def _quoted(value: str) -> str:
    if len(value) > MAX_VALUE:
        value = f"{value[:MAX_VALUE]}…{fingerprint({'': value})}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
