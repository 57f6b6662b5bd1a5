"""Where open alerts stand at one time: whom they go to, and what holds them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerts_svc.domain.alert import Alert
from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.composing import rule_of
from alerts_svc.domain.inhibition import Inhibitor
from alerts_svc.domain.labels import Labels
from alerts_svc.domain.mute import is_muted
from alerts_svc.domain.routing import Destination, Router, labelled
from alerts_svc.domain.silencing import Silencer
from alerts_svc.domain.world import World


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that has an incident open; ``labels`` have its severity, ``annotations`` those of its rule.

    ``silenced_by`` are the ids of silences, ``inhibited_by`` the fingerprints of alerts, ``muted_by`` the names of
    mute windows.
    """

    alert: Alert
    labels: Labels
    annotations: Mapping[str, str]
    destinations: Sequence[Destination]
    silenced_by: Sequence[str] = ()
    inhibited_by: Sequence[str] = ()
    muted_by: Sequence[str] = ()

    @property
    def suppressed(self) -> bool:
        """Return whether anything holds it back."""
        return bool(self.silenced_by or self.inhibited_by or self.muted_by)

    @property
    def receivers(self) -> tuple[str, ...]:
        """Return the names of all channels that it goes to, sorted."""
        return tuple(sorted({name for each in self.destinations for name in each.channels}))


def standings(world: World, *, wall: float) -> list[Standing]:
    """Return the standing of every open alert, in the order of their fingerprints."""
    router = Router(world.configuration, world.channels)
    inhibitor = Inhibitor(world.configuration.inhibitions, world.alerts.values())
    silencer = Silencer(world.silences.values(), wall=wall)
    windows = [w for w in world.configuration.mute_windows if is_muted(w, wall=wall)]
    found = []
    for fingerprint in sorted(world.alerts):
        alert = world.alerts[fingerprint]
        if alert.incident is None or alert.incident.resolved_at is not None:
            continue
        labels = labelled(alert)
        source = inhibitor.source(alert, labels)
        found.append(
            Standing(
                alert,
                labels,
                annotated(rule_of(world.rules, alert), alert.annotations, labels, alert.value),
                router.destinations(labels),
                silenced_by=tuple(silence.id for silence in silencer.all(labels)),
                inhibited_by=() if source is None else (source,),
                muted_by=tuple(
                    w.name for w in windows if all(m.matches(labels) for m in w.matchers)
                ),
            )
        )
    return found
