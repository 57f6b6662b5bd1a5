"""What a history says, put in order for the checker."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from alerts_svc.domain.alert import Change
from alerts_svc.domain.rule import Rule, Threshold
from tests.alerts_svc.simulation.history import (
    Arrived,
    Attempted,
    Committed,
    Direct,
    Event,
    Fault,
    History,
    Measured,
    Queued,
    Ruled,
)

E = TypeVar("E", bound=Event)

# What pages somebody.
PAGES = frozenset({Change.FIRED, Change.ESCALATED})
Level = tuple[float, float, float | None]


@dataclass
class Facts:
    """One history, by what the invariants ask of it."""

    history: History
    _by_kind: dict[type, list[Event]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for event in self.history.events:
            self._by_kind[type(event)].append(event)

    def all(self, kind: type[E]) -> list[E]:
        """Return the events of a kind, in their order."""
        return [event for event in self._by_kind[kind] if isinstance(event, kind)]

    @cached_property
    def levels(self) -> dict[tuple[str, str], list[Level]]:
        """What was true, by rule and operation: from, to, value."""
        changes: dict[tuple[str, str], list[Measured]] = defaultdict(list)
        for event in self.all(Measured):
            changes[event.rule, event.operation].append(event)
        end = self.history.ended_at
        return {
            key: [
                (one.at, after.at if after is not None else end, one.value)
                for one, after in zip(found, [*found[1:], None], strict=True)
            ]
            for key, found in changes.items()
        }

    def between(self, key: tuple[str, str], begin: float, end: float) -> Iterator[Level]:
        """Yield what was true of a rule and an operation at any time between two."""
        for since, until, value in self.levels.get(key, ()):
            if since <= end and until >= begin:
                yield max(since, begin), min(until, end), value

    @cached_property
    def _rules(self) -> dict[str, list[Ruled]]:
        found: dict[str, list[Ruled]] = defaultdict(list)
        for event in self.all(Ruled):
            found[event.name].append(event)
        return found

    def rule(self, name: str, at: float) -> Rule | None:
        """Return a rule as it was at a time."""
        found = self._rules.get(name, [])
        place = bisect_right([event.at for event in found], at)
        return found[place - 1].rule if place else None

    def changed(self, name: str, begin: float, end: float) -> bool:
        """Return whether people changed a rule between two times."""
        return any(begin <= event.at <= end for event in self._rules.get(name, ()))

    @cached_property
    def faults(self) -> list[Fault]:
        """All of them, in their order."""
        return self.all(Fault)

    def trouble(self, begin: float, end: float, channel: str | None = None) -> float:
        """Return for how many seconds between two times something was wrong with the service or with a channel."""
        return sum(
            max(0.0, min(fault.until, end) - max(fault.at, begin))
            for fault in self.faults
            if fault.channel is None or fault.channel == channel
        )

    @cached_property
    def queued(self) -> dict[str, Queued]:
        """What came into the outbox, by id."""
        return {event.id: event for event in self.all(Queued)}

    @cached_property
    def direct(self) -> dict[str, Direct]:
        """What was sent without the outbox, by id."""
        return {event.id: event for event in self.all(Direct)}

    @cached_property
    def refused(self) -> set[str]:
        """The ids of what a receiver will never take."""
        return {one.id for one in self.all(Attempted) if one.outcome in ("refusing", "gone")}

    @cached_property
    def arrivals(self) -> dict[str, list[float]]:
        """When each message arrived, and each copy of it, by id."""
        found: dict[str, list[float]] = defaultdict(list)
        for event in self.all(Arrived):
            found[event.id].append(event.at)
        return found

    @cached_property
    def transitions(self) -> dict[str, list[Committed]]:
        """The transitions of each incident, in their order."""
        found: dict[str, list[Committed]] = defaultdict(list)
        for event in self.all(Committed):
            found[event.incident].append(event)
        return found

    @cached_property
    def incidents(self) -> dict[str, list[str]]:
        """The incidents of each alert, in their order."""
        found: dict[str, list[str]] = defaultdict(list)
        for incident, made in self.transitions.items():
            found[made[0].fingerprint].append(incident)
        return found

    def open_at(self, incident: str, at: float) -> bool:
        """Return whether an incident was open at a time."""
        made = [one for one in self.transitions.get(incident, ()) if one.at <= at]
        return bool(made) and made[-1].change is not Change.RESOLVED


def lowest(rule: Rule) -> float:
    """Return the value above which a rule fires at all."""
    assert isinstance(rule.condition, Threshold)
    assert rule.condition.warning is not None
    return rule.condition.warning
