"""Groups: what is told together, and which of them may speak now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts_svc.domain.alert import Alert, Change
from alerts_svc.domain.composing import News, identifier
from alerts_svc.domain.routing import Destination, Router, labelled
from alerts_svc.domain.severity import Severity, rank
from alerts_svc.domain.world import Group, World

# More groups than these in one tick wait for the next one.
MAX_GROUPS = 500


@dataclass(frozen=True, slots=True)
class Free:
    """News that nothing holds back but its groups.

    ``catching_up`` says that other channels have been told of it already, and nothing else is owed.
    """

    news: News
    destinations: tuple[Destination, ...]
    catching_up: bool = False


def is_pressing(free: Free) -> bool:
    """Return whether a group must speak at once: of a new critical, of a severity that rises, of what is over."""
    change, incident = free.news.change, free.news.incident
    if free.catching_up:
        return False
    if change in (Change.RESOLVED, Change.ESCALATED):
        return True
    return (
        change is Change.FIRED
        and incident.severity is Severity.CRITICAL
        and rank(incident.told_severity) < incident.severity.rank
    )


def open_groups(world: World, found: Sequence[Free], *, own: float) -> frozenset[str]:
    """Return the keys of the groups that may speak: the first time, after the interval, or where it presses.

    ``found`` is sorted, the most important first.
    """
    interval = world.configuration.group_interval_seconds
    speaking: dict[str, None] = {}
    resolving = set()
    for free in found:
        pressing = is_pressing(free)
        for destination in free.destinations:
            key = destination.key
            group = world.groups.get(key)
            if pressing or group is None or own >= group.sent_at + interval:
                speaking[key] = None
            if free.news.change is Change.RESOLVED:
                resolving.add(key)
    return frozenset((*tuple(speaking)[:MAX_GROUPS], *resolving))


def is_released(free: Free, speaking: frozenset[str]) -> bool:
    """Return whether news goes out now: where one of its groups speaks, the others do too."""
    if free.catching_up or free.news.change is Change.ACKNOWLEDGED:
        return True
    return any(destination.key in speaking for destination in free.destinations)


def members(router: Router, alerts: Iterable[Alert]) -> Mapping[str, Sequence[Alert]]:
    """Return the alerts with an open incident that was told, by group; the most severe first, then the oldest."""
    found: dict[str, list[Alert]] = {}
    for alert in sorted(filter(_is_told, alerts), key=_order):
        for destination in router.destinations(labelled(alert)):
            found.setdefault(destination.key, []).append(alert)
    return found


def begun(key: str, *, own: float) -> Group:
    """Return a group at its first message; its thread is that of this time alone."""
    return Group(key, identifier(key, str(round(own * 1e6))), own)


def _is_told(alert: Alert) -> bool:
    incident = alert.incident
    return incident is not None and incident.resolved_at is None and bool(incident.channels)


def _order(alert: Alert) -> tuple[int, float, str]:
    assert alert.incident is not None
    return -alert.incident.severity.rank, alert.incident.started_at, alert.fingerprint
