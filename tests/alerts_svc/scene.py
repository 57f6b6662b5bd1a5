"""A world on a stage: alerts fire and clear, time goes on, and each tick decides what is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alerts_svc.domain import commands, dispatch, machine
from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.message import Message
from alerts_svc.domain.reading import Finding, Missing, Outcome
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge, Changes, Close, Command, Posted, World, applied

NOW = 1_800_000_000.0  # a Friday, 08:00 UTC
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL

RULE = Rule(
    name="latency",
    group="performance",
    condition=Threshold(
        Query("latency_ms", "p95", 300, group_by=("operation",)),
        Comparison.ABOVE,
        warning=3000.0,
        critical=5000.0,
    ),
    cooldown_seconds=900.0,
    annotations={"summary": "slow answers", "impact": "people wait"},
    actions=("look at the dashboard",),
    unit="ms",
)


def channels(**kinds: Kind) -> Mapping[str, Channel]:
    """Return channels by name, each of its kind."""
    return {name: Channel(name, kind) for name, kind in kinds.items()}


@dataclass
class Scene:
    """The world now; the wall clock may be ahead of its own time by ``skew``."""

    configuration: Configuration = field(default_factory=Configuration)
    channels: Mapping[str, Channel] = field(default_factory=lambda: channels(slack=Kind.SLACK))
    rules: tuple[Rule, ...] = (RULE,)
    skew: float = 0.0

    def __post_init__(self) -> None:
        self.own = NOW
        self.changes: list[Changes] = []
        self.world = World(
            1,
            rules={rule.name: rule for rule in self.rules},
            channels=self.channels,
            configuration=self.configuration,
        )

    @property
    def wall(self) -> float:
        return self.own + self.skew

    @property
    def messages(self) -> list[Message]:
        """Return all that was ever told, in order."""
        return [message for changes in self.changes for message in changes.messages]

    def after(self, seconds: float) -> Scene:
        self.own += seconds
        return self

    def finds(self, operation: str, outcome: Outcome, rule: Rule = RULE) -> str:
        """Evaluate a rule for an operation; returns the fingerprint of its alert."""
        labels = {"alertname": rule.name, "operation": operation}
        identity = fingerprint(labels)
        before = self.world.alerts.get(identity) or Alert(identity, labels, rule.name)
        after, transitions = machine.advance(before, outcome, rule, own=self.own)
        self._apply(Changes(alerts=(after,), transitions=transitions))
        return identity

    def fires(self, operation: str, severity: Severity = WARNING, rule: Rule = RULE) -> str:
        return self.finds(operation, Finding(severity, 6200.0, 3000.0, 40.0), rule)

    def clears(self, operation: str, rule: Rule = RULE) -> str:
        return self.finds(operation, Finding(None, 900.0, 3000.0, 40.0), rule)

    def lacks(self, operation: str, rule: Rule = RULE) -> str:
        return self.finds(operation, Missing("no_data"), rule)

    def silences(self, silence: Silence) -> None:
        self.world = replace(self.world, silences={**self.world.silences, silence.id: silence})

    def configures(self, configuration: Configuration) -> None:
        self.world = replace(self.world, configuration=configuration)

    def commands(self, *contents: Acknowledge | Close | tuple[Posted, ...]) -> Changes:
        made = [Command(number, self.wall, content) for number, content in enumerate(contents, 1)]
        self.world, changes = commands.apply(self.world, made, own=self.own, wall=self.wall)
        self.changes.append(changes)
        return changes

    def tick(self, *, evaluated: bool = False) -> Changes:
        decided = dispatch.decide(self.world, own=self.own, wall=self.wall, evaluated=evaluated)
        self._apply(decided)
        return decided

    def next(self) -> float | None:
        """Return in how many seconds something is to be decided again."""
        at = dispatch.next_decision(self.world, own=self.own, wall=self.wall)
        return None if at is None else at - self.own

    def incident(self, identity: str) -> Incident:
        incident = self.world.alerts[identity].incident
        assert incident is not None
        return incident

    def _apply(self, changes: Changes) -> None:
        self.world = applied(self.world, changes)
        self.changes.append(changes)


def told(changes: Changes) -> dict[str, str]:
    """Return the reason of each message by its channel."""
    return {message.channel: message.reason for message in changes.messages}


def decided(changes: Changes) -> list[tuple[str, str, str]]:
    """Return what was decided: the change, the outcome and the reason of each."""
    return [(one.change.value, one.outcome, one.reason) for one in changes.decisions]
