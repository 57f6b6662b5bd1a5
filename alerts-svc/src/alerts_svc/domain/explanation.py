"""Why somebody was, or was not, told of an alert: its history in order, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from alerts_svc.domain import dispatch, holding
from alerts_svc.domain.alert import Alert, Change, Decision, Transition
from alerts_svc.domain.labels import ALERTNAME
from alerts_svc.domain.plain import plain
from alerts_svc.domain.rule import Comparison, Rule, Threshold
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.wording import duration, moment, number, quantity

_MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class Measured:
    """What one evaluation found of an alert; ``value`` is ``None`` where there was none."""

    at: float
    value: float | None
    samples: float


@dataclass(frozen=True, slots=True)
class Queued:
    """A message about the alert, as it stands in the outbox.

    ``sequence`` is the transition that it tells, ``None`` if it only stands in for another channel's; ``status`` is
    ``waiting``, ``sent`` or ``failed``, and ``why`` says why it was not sent.
    """

    message: str
    channel: str
    at: float
    reason: str
    status: str
    incident: str = ""
    sequence: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt to send a message.

    ``outcome`` is ``sent``, ``retry``, ``unknown`` (it may have arrived) or ``refused``, ``None`` if it never ended.
    """

    message: str
    channel: str
    number: int
    began_at: float
    ended_at: float | None
    outcome: str | None
    status: int | None = None
    reason: str = ""
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an alert. Times are the service's own; ``skew`` added gives the wall clock.

    ``silences`` and ``alerts`` are those that decisions name, as far as they still exist.
    """

    transitions: Sequence[Transition] = ()
    decisions: Sequence[Decision] = ()
    queued: Sequence[Queued] = ()
    attempts: Sequence[Attempted] = ()
    measured: Sequence[Measured] = ()
    rule: Rule | None = None
    silences: Mapping[str, Silence] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. ``at`` (wall clock) is when it began, ``until`` when the last of several like it did.

    ``kind`` is ``evaluation``, ``transition``, ``decision``, ``message`` or ``attempt``.
    """

    at: float
    kind: str
    text: str
    until: float | None = None
    incident: str = ""
    sequence: int | None = None
    channel: str = ""
    message: str = ""
    outcome: str = ""
    reason: str = ""
    value: float | None = None
    samples: float | None = None
    status: int | None = None
    count: int = 1


# What follows from what, where the times are equal.
_ORDER = {"evaluation": 0, "transition": 1, "decision": 2, "message": 3, "attempt": 4}


def explained(found: Evidence) -> tuple[Entry, ...]:
    """Return the timeline, oldest first; evaluations that found the same are one entry."""
    entries = [
        *_evaluations(found),
        *(_transition(found, one) for one in found.transitions),
        *(_decision(found, one) for one in found.decisions),
        *(_message(found, one) for one in found.queued),
        *(_attempt(found, one) for one in found.attempts),
    ]
    return tuple(sorted(entries, key=lambda entry: (entry.at, _ORDER[entry.kind])))


def verdict(found: Evidence) -> str:
    """Return the answer in one sentence: on which channels people were told, or what has kept them from it."""
    sent = sorted({one.channel for one in found.queued if one.status == "sent"})
    waiting = sorted({one.channel for one in found.queued if one.status == "waiting"} - set(sent))
    failed = sorted({one.channel for one in found.queued if one.status == "failed"} - set(sent))
    parts = []
    if sent:
        parts.append(f"told on {_listed(sent)}")
    if waiting:
        parts.append(f"still to be delivered on {_listed(waiting)}")
    if failed:
        parts.append(f"could not be delivered on {_listed(failed)}")
    if parts:
        return _sentence("; ".join(parts))
    if not found.transitions:
        return "Nobody was told: it has not fired."
    held = [one for one in found.decisions if one.outcome == dispatch.HELD]
    if held:
        last = max(held, key=lambda one: one.at)
        return _sentence(f"nobody was told: {_held(found, last.reason)}")
    return "Nobody has been told yet."


def _transition(found: Evidence, one: Transition) -> Entry:
    text = _TRANSITIONS[one.change]
    if one.severity is not None and one.change in (
        Change.FIRED,
        Change.ESCALATED,
        Change.DEESCALATED,
    ):
        text = f"{text} ({one.severity.value})"
    if one.value is not None and one.change in _OF_A_VALUE:
        text = f"{text}: {_against(found, one.value, one.threshold)}"
    reason = _because(one.reason)
    return Entry(
        one.at + found.skew,
        "transition",
        _sentence(f"{text}, {reason}" if reason else text),
        incident=one.incident,
        sequence=one.sequence,
        outcome=one.change.value,
        reason=one.reason,
        value=one.value,
    )


_OF_A_VALUE = {
    Change.FIRED,
    Change.ESCALATED,
    Change.DEESCALATED,
    Change.RESUMED,
    Change.RESOLVED,
}
_TRANSITIONS = {
    Change.FIRED: "fired",
    Change.ESCALATED: "became more severe",
    Change.DEESCALATED: "became less severe",
    Change.NO_DATA: "no data any more; it stays open",
    Change.RESUMED: "there is data again",
    Change.REMINDER: "a reminder is due, as it still fires",
    Change.ACKNOWLEDGED: "acknowledged",
    Change.RESOLVED: "resolved",
}
_REASONS = {
    "rule_deleted": "as its rule was deleted",
    "rule_disabled": "as its rule was disabled",
    "rule_changed": "as its rule was changed",
    "channel_deleted": "as the channel was deleted",
    "no_data": "for lack of data",
    "insufficient_data": "as there are too few samples",
    "expired": "as its sender has fallen silent",
}
_PEOPLE = {"by": "by", "taken_back_by": "but taken back by", "closed_by": "closed by"}


def _because(reason: str) -> str:
    kind, colon, who = reason.partition(":")
    if colon and kind in _PEOPLE:
        return f"{_PEOPLE[kind]} {plain(who, 60)}"
    return _REASONS.get(reason, plain(reason, _MAX_WORDS))


def _decision(found: Evidence, one: Decision) -> Entry:
    what = _WHAT.get(one.change, one.change.value)
    if one.outcome == dispatch.TOLD:
        text = f"{what} is told on {plain(one.reason, _MAX_WORDS)}"
    elif one.outcome == dispatch.HELD:
        text = f"{what} is not told yet: {_held(found, one.reason)}"
    elif (reason := _kept_by(found, one)) is None:
        text = f"{what} is not told: it was over before anything was said"
    else:
        text = f"{what} is not told: it is over, and before that it was {_held(found, reason)}"
    return Entry(
        one.at + found.skew,
        "decision",
        _sentence(text),
        incident=one.incident,
        outcome=one.outcome,
        reason=one.reason,
    )


def _kept_by(found: Evidence, one: Decision) -> str | None:
    """Return what had held back what was then over."""
    if one.reason != dispatch.OVER:
        return one.reason
    before = [
        other.reason
        for other in found.decisions
        if other.incident == one.incident and other.outcome == dispatch.HELD and other.at <= one.at
    ]
    return before[-1] if before else None


_WHAT = {
    Change.FIRED: "that it fires",
    Change.ESCALATED: "that it is more severe",
    Change.NO_DATA: "that there is no data",
    Change.REMINDER: "the reminder",
    Change.ACKNOWLEDGED: "the acknowledgement",
    Change.RESOLVED: "that it is resolved",
}


def _held(found: Evidence, reason: str) -> str:
    kind, _, name = reason.partition(":")
    if kind == holding.SILENCE:
        return _silenced(found.silences.get(name), name)
    if kind == holding.INHIBITION:
        source = found.alerts.get(name)
        called = name if source is None else source.labels.get(ALERTNAME, name)
        return f"held back because {plain(called, 100)} fires"
    if kind == holding.MUTE:
        return f"held back by the mute window {plain(name, 100)}"
    return _HELD.get(kind, f"held back ({plain(reason, 100)})")


_HELD = {
    holding.COOLDOWN: "held back by the cooldown after it fired before",
    holding.ACKNOWLEDGED: "held back, as somebody has acknowledged it",
    holding.GROUP_INTERVAL: "held back for the next message of its group",
}


def _silenced(silence: Silence | None, name: str) -> str:
    if silence is None:
        return f"held back by the silence {plain(name, 60)}"
    comment = f" ({plain(silence.comment, 100)})" if silence.comment else ""
    until = moment(silence.ends_at)
    return f"held back by a silence of {plain(silence.created_by, 60)}{comment} until {until}"


def _message(found: Evidence, one: Queued) -> Entry:
    text = f"message for {plain(one.channel, 100)} put in the outbox ({one.reason})"
    if one.status == "failed":
        text = f"{text}; it could not be delivered: {plain(one.why, _MAX_WORDS)}"
    elif one.status != "sent":
        text = f"{text}; {one.status}"
    # It is counted by another clock than what it tells, which came first.
    told = [each.at for each in found.transitions if each.sequence == one.sequence]
    return Entry(
        max([one.at, *told]) + found.skew,
        "message",
        _sentence(text),
        incident=one.incident,
        sequence=one.sequence,
        channel=one.channel,
        message=one.message,
        outcome=one.status,
        reason=one.why or one.reason,
    )


def _attempt(found: Evidence, one: Attempted) -> Entry:
    text = f"attempt {one.number} on {plain(one.channel, 100)}: {_outcome(one)}"
    if one.status is not None:
        text = f"{text} (status {one.status})"
    if one.reason:
        text = f"{text}: {plain(one.reason, _MAX_WORDS)}"
    if one.next_at is not None:
        text = f"{text}; again at {moment(one.next_at + found.skew)}"
    return Entry(
        one.began_at + found.skew,
        "attempt",
        _sentence(text),
        until=None if one.ended_at is None else one.ended_at + found.skew,
        channel=one.channel,
        message=one.message,
        outcome=one.outcome or "unknown",
        reason=one.reason,
        status=one.status,
        count=one.number,
    )


def _outcome(one: Attempted) -> str:
    took = "" if one.ended_at is None else f" after {_seconds(one.ended_at - one.began_at)}"
    match one.outcome:
        case "sent":
            return f"delivered{took}"
        case "retry":
            return f"failed{took}"
        case "unknown":
            return f"cut off{took}, and the receiver may have it"
        case "refused":
            return f"refused for good{took}"
    return "begun; how it ended is not known"


def _seconds(length: float) -> str:
    if length < 1:
        return f"{max(length, 0.0) * 1000:.0f} ms"
    return f"{number(length)} s" if length < 60 else duration(length)


def _evaluations(found: Evidence) -> Iterator[Entry]:
    """Yield one entry for each run of evaluations that found the same: none, under the limit, or over it."""
    in_order = sorted(found.measured, key=lambda one: one.at)
    for side, run in groupby(in_order, lambda one: _side(found.rule, one.value)):
        ones = list(run)
        last = ones[-1]
        times = f"{len(ones)} evaluations" if len(ones) > 1 else "evaluated"
        yield Entry(
            ones[0].at + found.skew,
            "evaluation",
            _sentence(f"{times}: {_found(found, side, ones)}"),
            until=last.at + found.skew if len(ones) > 1 else None,
            outcome=side,
            value=last.value,
            samples=last.samples,
            count=len(ones),
        )


def _found(found: Evidence, side: str, ones: Sequence[Measured]) -> str:
    values = [one.value for one in ones if one.value is not None]
    count = ones[-1].samples
    samples = f"{number(count, 12)} sample{'' if count == 1 else 's'}"
    least = 0 if found.rule is None else found.rule.min_samples
    if not values:
        return f"only {samples}, and it takes {least}" if 0 < count < least else "no value"
    words = {"breach": ", over the limit", "clear": ", within the limit"}.get(side, "")
    return f"{_between(found, values)}, {samples}{words}"


def _between(found: Evidence, values: Sequence[float]) -> str:
    unit = "" if found.rule is None else found.rule.unit
    least, most = quantity(min(values), unit), quantity(max(values), unit)
    return least if least == most else f"{least} to {most}"


def _side(rule: Rule | None, value: float | None) -> str:
    if value is None:
        return "no_data"
    if rule is None or not isinstance(rule.condition, Threshold):
        return "measured"
    limits = (rule.condition.warning, rule.condition.critical)
    reached = any(
        limit is not None and _reaches(value, rule.condition.comparison, limit) for limit in limits
    )
    return "breach" if reached else "clear"


def _reaches(value: float, comparison: Comparison, limit: float) -> bool:
    match comparison:
        case Comparison.ABOVE:
            return value > limit
        case Comparison.AT_LEAST:
            return value >= limit
        case Comparison.BELOW:
            return value < limit
    return value <= limit


def _against(found: Evidence, value: float, threshold: float | None) -> str:
    unit = "" if found.rule is None else found.rule.unit
    if threshold is None:
        return quantity(value, unit)
    return f"{quantity(value, unit)} against {quantity(threshold, unit)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(plain(name, 100) for name in names)


def _sentence(text: str) -> str:
    whole = text if text.endswith((".", "…")) else f"{text}."
    return whole[0].upper() + whole[1:]
