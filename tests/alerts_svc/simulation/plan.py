"""What will happen in a run, drawn from its seed: rules, measurements, faults, and what people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration, Inhibition, Route
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity

WARNING, CRITICAL = 100.0, 200.0
PAGER = "pager"
FAULTS = (
    "crash",
    "crash_at_call",
    "power",
    "restart",
    "pause",
    "pause_at_call",
    "store_down",
    "store_lossy",
    "store_slow",
    "metrics_down",
    "receiver",
    "refusal",
    "clock",
    "silence",
    "acknowledge",
    "close",
    "edit",
)
OFTEN = frozenset({"receiver", "silence"})
_KINDS = (Kind.WEBHOOK, Kind.SLACK, Kind.EMAIL)


@dataclass(frozen=True, slots=True)
class Level:
    """From ``at`` on a rule's measure reads ``value`` for an operation; ``None`` is no data."""

    at: float
    rule: str
    operation: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done to the service, or that people do; ``seconds`` is how long it lasts."""

    at: float
    kind: str
    seconds: float
    pick: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; times count from its start. ``seconds`` is when everything is well again."""

    seed: int
    rules: Sequence[Rule]
    operations: Sequence[str]
    channels: Sequence[Channel]
    configuration: Configuration
    levels: Sequence[Level]
    steps: Sequence[Step]
    seconds: float


def drawn(seed: int) -> Plan:
    """Return the plan of a seed, the same each time."""
    random = Random(seed)
    seconds = random.uniform(120.0, 300.0)
    rules = [_rule(random, number) for number in range(random.choice((1, 1, 2, 3)))]
    operations = [f"op{number}" for number in range(random.choice((1, 2, 3)))]
    channels = _channels(random)
    levels = [
        level
        for rule in rules
        for operation in operations
        for level in _levels(random, rule.name, operation, seconds)
    ]
    # Each run has some kinds of trouble only: all at once would hide what one alone can do.
    kinds = random.sample(FAULTS, random.randint(0, 7))
    steps = [
        Step(
            _moment(random, levels, seconds),
            kind,
            random.uniform(1.0, 45.0),
            random.randrange(1000),
        )
        for kind in kinds
        for _ in range(random.randint(1, 8 if kind in OFTEN else 4))
    ]
    return Plan(
        seed,
        rules,
        operations,
        channels,
        _configuration(random, rules, channels),
        sorted(levels, key=lambda level: level.at),
        sorted(steps, key=lambda step: step.at),
        seconds,
    )


def _moment(random: Random, levels: Sequence[Level], seconds: float) -> float:
    """Return when to do something: any time, or just after a measure has changed, while the service acts on it."""
    if random.random() < 0.5:
        return random.uniform(5.0, seconds)
    return min(seconds, random.choice(levels).at + random.uniform(0.0, 8.0))


def _rule(random: Random, number: int) -> Rule:
    name = f"rule{number}"
    condition = Threshold(
        Query(name, "avg", 60, None, ("operation",)),
        Comparison.ABOVE,
        warning=WARNING,
        critical=random.choice((CRITICAL, CRITICAL, None)),
        hysteresis=random.choice((0.0, 0.0, 10.0)),
    )
    return Rule(
        name,
        "simulated",
        condition,
        for_seconds=random.choice((0.0, 0.0, 10.0, 30.0)),
        keep_firing_seconds=random.choice((0.0, 0.0, 20.0)),
        cooldown_seconds=random.choice((0.0, 30.0, 60.0, 300.0)),
        no_data_seconds=random.choice((20.0, 60.0)),
        no_data_severity=random.choice((None, None, None, Severity.WARNING)),
    )


def _channels(random: Random) -> list[Channel]:
    kinds = random.sample(_KINDS, random.randint(1, 3))
    channels = [Channel(kind.value, kind) for kind in kinds]
    if random.random() < 0.5:
        channels.append(Channel(PAGER, Kind.PAGERDUTY))
    return channels


def _configuration(
    random: Random, rules: Sequence[Rule], channels: Sequence[Channel]
) -> Configuration:
    everybody = tuple(channel.name for channel in channels if channel.name != PAGER)
    critical = (Matcher("severity", "critical"),)
    routes = [Route("all", (), everybody)]
    if len(everybody) < len(channels):
        routes.insert(0, Route("urgent", critical, (PAGER,), ("alertname", "operation"), True))
    inhibition = Inhibition(
        "first",
        (*critical, Matcher("alertname", "rule0")),
        (Matcher("alertname", "rule1"),),
        ("operation",),
    )
    return Configuration(
        group_by=random.choice((("alertname",), ("operation",), ("alertname", "operation"), ())),
        group_interval_seconds=random.choice((5.0, 15.0, 30.0)),
        repeat_seconds=random.choice((0.0, 60.0, 14_400.0)),
        fallback=random.choice((None, everybody[-1])),
        routes=tuple(routes),
        inhibitions=(inhibition,) if len(rules) > 1 and random.random() < 0.3 else (),
    )


def _levels(random: Random, rule: str, operation: str, seconds: float) -> list[Level]:
    found = [Level(0.0, rule, operation, 10.0)]
    longest = random.choice((8.0, 40.0, 100.0))
    at = random.uniform(1.0, 30.0)
    while at < seconds:
        found.append(Level(at, rule, operation, _value(random)))
        at += random.uniform(2.0, longest)
    return found


def _value(random: Random) -> float | None:
    kind = random.random()
    if kind < 0.08:
        return None
    if kind < 0.45:
        return random.uniform(0.0, 85.0)
    if kind < 0.5:
        # Equality is no breach; just under it is none either, unless the alert fires with a hysteresis.
        return random.choice((WARNING, 95.0))
    if kind < 0.75:
        return random.uniform(101.0, 199.0)
    return random.uniform(201.0, 400.0)


def edited(rule: Rule, pick: int) -> Rule:
    """Return a rule as somebody changes it."""
    changed = replace(rule, version=rule.version + 1)
    if pick % 3 == 0:
        return replace(changed, enabled=False)
    assert isinstance(rule.condition, Threshold)
    if pick % 3 == 1:
        return replace(changed, condition=replace(rule.condition, warning=150.0))
    return replace(changed, for_seconds=5.0)
