"""Inhibition: what follows from something that is known already is not told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from alerts_svc.domain.alert import Alert
from alerts_svc.domain.configuration import Inhibition
from alerts_svc.domain.labels import Labels
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.routing import labelled

_Key = tuple[str, ...]


@dataclass(slots=True)
class _Index:
    """The sources of one inhibition, by the labels that must be equal; two of each, as none inhibits itself.

    ``sources`` are matched as a source alone, ``both`` as a target too.
    """

    inhibition: Inhibition
    sources: dict[_Key, list[str]] = field(default_factory=dict)
    both: dict[_Key, list[str]] = field(default_factory=dict)


class Inhibitor:
    """What inhibits what, at one time: looking one alert up takes as long whatever number of others fires."""

    def __init__(self, inhibitions: Sequence[Inhibition], alerts: Iterable[Alert]) -> None:
        self._indexes = [_Index(inhibition) for inhibition in inhibitions]
        if self._indexes:
            # The oldest first, so that the reason does not change while it lasts.
            for alert in sorted(filter(_open, alerts), key=_age):
                self._add(alert)

    def _add(self, alert: Alert) -> None:
        labels = labelled(alert)
        for index in self._indexes:
            if not _matches(index.inhibition.source, labels):
                continue
            table = index.both if _matches(index.inhibition.target, labels) else index.sources
            found = table.setdefault(_key(index.inhibition, labels), [])
            if len(found) < 2:
                found.append(alert.fingerprint)

    def source(self, alert: Alert, labels: Labels) -> str | None:
        """Return the fingerprint of an alert that inhibits this one, if there is any.

        As in Alertmanager, two alerts that are each source and target do not inhibit each other: nobody would be
        told of either.
        """
        for index in self._indexes:
            if not _matches(index.inhibition.target, labels):
                continue
            key = _key(index.inhibition, labels)
            found = index.sources.get(key, [])
            if not _matches(index.inhibition.source, labels):
                found = [*found, *index.both.get(key, [])]
            for fingerprint in found:
                if fingerprint != alert.fingerprint:
                    return fingerprint
        return None


def _open(alert: Alert) -> bool:
    return alert.incident is not None and alert.incident.resolved_at is None


def _age(alert: Alert) -> tuple[float, str]:
    assert alert.incident is not None
    return alert.incident.started_at, alert.fingerprint


def _matches(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


def _key(inhibition: Inhibition, labels: Labels) -> _Key:
    return tuple(labels.get(name, "") for name in inhibition.equal)
