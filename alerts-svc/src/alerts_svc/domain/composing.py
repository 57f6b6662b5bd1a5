"""Messages, put together from alerts, rules and the world."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Alert, Change, Incident
from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.message import MAX_ITEMS, ChangeEvent, Item, Message
from alerts_svc.domain.plain import cut
from alerts_svc.domain.routing import labelled
from alerts_svc.domain.rule import BurnRate, Rule, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import World

_NAMESPACE = uuid.UUID("6f0b1d6e-4a55-5d0a-9c3c-0f6f5a8a7f11")
_BUILTIN = builtin.rules()

# What is told of one alert stays within bounds, whatever a sender from elsewhere says of it.
MAX_PAIRS = 64
MAX_VALUE = 2_000
# Changes of the application that may have led to it: from so long before the first alert began.
CHANGES_BEFORE_SECONDS = 3_600.0
MAX_CHANGES = 5

_ORDER = {
    Change.ESCALATED: 0,
    Change.FIRED: 1,
    Change.NO_DATA: 2,
    Change.RESOLVED: 3,
    Change.REMINDER: 4,
    Change.ACKNOWLEDGED: 5,
}
_REASONS = {
    Change.ESCALATED: "escalated",
    Change.FIRED: "new",
    Change.NO_DATA: "no_data",
    Change.RESOLVED: "resolved",
    Change.REMINDER: "reminder",
    Change.ACKNOWLEDGED: "acknowledged",
}


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of one alert, whose incident stands as it did before the telling."""

    alert: Alert
    incident: Incident
    change: Change


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when a message is told. ``first`` says that it is the first of its group."""

    channel: str
    group_key: str
    group_labels: tuple[tuple[str, str], ...]
    thread: str
    first: bool
    own: float
    wall: float


def identifier(*parts: str) -> str:
    """Return a UUID that follows from the parts."""
    name = "\n".join(parts).encode(errors="replace").decode()
    return str(uuid.uuid5(_NAMESPACE, name))


def rule_of(rules: Mapping[str, Rule], alert: Alert) -> Rule | None:
    """Return the rule of an alert, one of the built-in ones too; ``None`` for one from elsewhere or deleted."""
    if alert.rule is None:
        return None
    return rules.get(alert.rule) or _BUILTIN.get(alert.rule)


def priority(news: News) -> tuple[int, int, float, str]:
    """Return what sorts news: the most severe first, then what is the most urgent, then the oldest."""
    return (
        -news.incident.severity.rank,
        _ORDER.get(news.change, len(_ORDER)),
        news.incident.started_at,
        news.alert.fingerprint,
    )


def compose(
    world: World, setting: Setting, news: Sequence[News], standing: Sequence[Alert], still: int
) -> Message:
    """Return one message. ``news`` are sorted by ``priority``.

    ``standing`` are some of the ``still`` alerts of the group that fire without news. In ``counts`` are ``firing`` and
    ``resolved`` alerts, and how many are news of each kind: ``new``, ``escalated``, ``no_data``, ``reminder``,
    ``acknowledged``.
    """
    shown = [
        *(_item(world, setting, one.alert, one.change) for one in news[:MAX_ITEMS]),
        *(_item(world, setting, alert, None) for alert in standing),
    ][:MAX_ITEMS]
    resolved = sum(one.change is Change.RESOLVED for one in news)
    firing = len(news) - resolved + still
    told = tuple((one.incident.id, one.incident.sequence) for one in news)
    return Message(
        id=_message_id(setting.channel, told),
        channel=setting.channel,
        group_key=setting.group_key,
        group_labels={name: cut(value, MAX_VALUE) for name, value in setting.group_labels},
        thread=setting.thread,
        reason=_reason(news, first=setting.first, firing=firing),
        created_at=setting.wall,
        severity=_severity(news, standing, firing=firing),
        status="firing" if firing else "resolved",
        items=tuple(shown),
        told=told,
        truncated=len(news) + still - len(shown),
        counts=_counts(news, firing=firing, resolved=resolved),
        changes=_recent(world.changes, shown, wall=setting.wall) if firing else (),
    )


def heartbeat(channel: str, *, slot: int, wall: float) -> Message:
    """Return what a heartbeat channel is told: that the path from evaluation to delivery works."""
    return Message(
        id=identifier(channel, "heartbeat", str(slot)),
        channel=channel,
        group_key=f"heartbeat:{channel}",
        group_labels={},
        thread=identifier(channel, "heartbeat"),
        reason="heartbeat",
        created_at=wall,
        severity=Severity.WARNING,
        status="firing",
        items=(),
        told=(),
    )


def _bounded(pairs: Mapping[str, str]) -> dict[str, str]:
    some = sorted(pairs.items())[:MAX_PAIRS] if len(pairs) > MAX_PAIRS else pairs.items()
    return {cut(name, 200): cut(value, MAX_VALUE) for name, value in some}


def _message_id(channel: str, told: Iterable[tuple[str, int]]) -> str:
    return identifier(channel, *(f"{incident}:{sequence}" for incident, sequence in sorted(told)))


def _reason(news: Sequence[News], *, first: bool, firing: int) -> str:
    if not firing:
        return "all_resolved"
    leading = min((one.change for one in news), key=lambda change: _ORDER.get(change, len(_ORDER)))
    if first and leading not in (Change.RESOLVED, Change.ACKNOWLEDGED):
        return "first"
    return _REASONS.get(leading, leading.value)


def _severity(news: Sequence[News], standing: Sequence[Alert], *, firing: int) -> Severity:
    """Return the greatest severity of what fires, or of what did if all is over.

    ``standing`` are sorted the most severe first, so those that are not shown cannot be worse.
    """
    found = [
        one.incident.severity for one in news if not firing or one.change is not Change.RESOLVED
    ]
    found += [alert.incident.severity for alert in standing if alert.incident is not None]
    return max(found, key=lambda severity: severity.rank, default=Severity.WARNING)


def _counts(news: Sequence[News], *, firing: int, resolved: int) -> dict[str, int]:
    counts = {"firing": firing, "resolved": resolved}
    for one in news:
        if one.change is not Change.RESOLVED:
            name = _REASONS.get(one.change, one.change.value)
            counts[name] = counts.get(name, 0) + 1
    return counts


def began_at(incident: Incident, skew: float) -> float:
    """Return the start of an incident by the true time, which is ``skew`` ahead of own time now."""
    return incident.started_at + skew if incident.began_at is None else incident.began_at


def _item(world: World, setting: Setting, alert: Alert, change: Change | None) -> Item:
    incident = alert.incident
    assert incident is not None
    skew = setting.wall - setting.own
    rule = rule_of(world.rules, alert)
    starts_at = began_at(incident, skew)
    ended = incident.resolved_at
    comparison, unit, window = _terms(rule, alert.threshold)
    return Item(
        incident=incident.id,
        sequence=incident.sequence,
        change=change,
        fingerprint=alert.fingerprint,
        labels=_bounded(labelled(alert)),
        annotations=_bounded(annotated(rule, alert.annotations, labelled(alert), alert.value)),
        severity=incident.severity,
        starts_at=starts_at,
        ends_at=None if ended is None else max(starts_at, ended + skew),
        rule=alert.rule,
        value=alert.value,
        threshold=alert.threshold,
        comparison=comparison,
        unit=unit,
        window_seconds=window,
        samples=0.0 if alert.rule in _BUILTIN else alert.samples,
        acknowledged_by=_acknowledged_by(incident, own=setting.own),
        actions=() if rule is None else rule.actions,
        generator_url=cut(alert.generator_url, MAX_VALUE),
        event_at=incident.event_at,
        seen_at=None if incident.seen_at is None else incident.seen_at + skew,
    )


def _acknowledged_by(incident: Incident, *, own: float) -> str | None:
    until = incident.acknowledged_until
    return incident.acknowledged_by if until is not None and own < until else None


def _terms(rule: Rule | None, threshold: float | None) -> tuple[str, str, int | None]:
    """Return what a rule's value is compared by, its unit, and the window that it is of."""
    if rule is None:
        return "", "", None
    condition = rule.condition
    if isinstance(condition, Threshold):
        # The service watches itself at every moment; the window of a built-in rule is a mere form.
        window = None if rule.name in _BUILTIN else condition.query.window_seconds
        return condition.comparison.value, rule.unit, window
    return ">", rule.unit or "x", _burn_window(condition, threshold)


def _burn_window(condition: BurnRate, threshold: float | None) -> int | None:
    for window in condition.windows:
        if window.factor == threshold:
            return window.long_seconds
    return condition.windows[0].long_seconds if condition.windows else None


def _recent(
    changes: Sequence[ChangeEvent], shown: Sequence[Item], *, wall: float
) -> tuple[ChangeEvent, ...]:
    """Return what people changed in the time of the news, the newest first."""
    starts = [item.starts_at for item in shown if item.change not in (None, Change.RESOLVED)]
    if not starts:
        return ()
    since = min(starts) - CHANGES_BEFORE_SECONDS
    found = [change for change in changes if since <= change.at <= wall]
    return tuple(sorted(found, key=lambda change: -change.at)[:MAX_CHANGES])
