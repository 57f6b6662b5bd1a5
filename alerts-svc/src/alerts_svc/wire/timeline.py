"""Timelines and history as they travel, and the evidence that a timeline is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.explanation import Attempted, Entry, Queued
from alerts_svc.domain.rule import Rule
from alerts_svc.store.alerts import Episode
from alerts_svc.store.deliveries import REPLAY, KeptDelivery
from alerts_svc.wire.times import Clocks, instant
from windsock_kit.errors import InvalidError

Answer = dict[str, Any]
_CURSOR = re.compile(r"(\d{1,10}(?:\.\d{1,9})?)_([0-9a-f]{32})", re.ASCII)


def queued(found: Iterable[KeptDelivery], incident: str, clocks: Clocks) -> list[Queued]:
    """Return the messages of an incident as an explanation takes them."""
    return [
        Queued(
            message=each.message.id,
            channel=each.message.channel,
            at=clocks.inward(each.created_at),
            reason=each.message.reason,
            status=each.status,
            incident=incident,
            sequence=max((n for told, n in each.message.told if told == incident), default=None),
            why=each.reason,
        )
        for each in found
    ]


def attempted(found: Iterable[KeptDelivery]) -> list[Attempted]:
    """Return the attempts at messages as an explanation takes them."""
    return [
        Attempted(
            message=each.message.id,
            channel=each.message.channel,
            number=attempt.number,
            began_at=attempt.began_at,
            ended_at=attempt.ended_at,
            outcome=attempt.outcome,
            status=attempt.status,
            reason=attempt.reason,
            next_at=attempt.next_at,
        )
        for each in found
        for attempt in each.tries
        if attempt.outcome != REPLAY
    ]


def replays(found: Iterable[KeptDelivery], incident: str, clocks: Clocks) -> list[Entry]:
    """Return a line for each time that somebody had a message sent again."""
    return [
        Entry(
            clocks.outward(attempt.began_at),
            "attempt",
            f"Put in the queue again by {attempt.reason or 'somebody'}.",
            incident=incident,
            channel=each.message.channel,
            message=each.message.id,
            outcome=REPLAY,
        )
        for each in found
        for attempt in each.tries
        if attempt.outcome == REPLAY
    ]


def tell_entry(entry: Entry) -> Answer:
    """Return a line of a timeline."""
    return {
        "at": instant(entry.at),
        "until": instant(entry.until),
        "kind": entry.kind,
        "text": entry.text,
        "outcome": entry.outcome or None,
        "reason": entry.reason or None,
        "sequence": entry.sequence,
        "channel": entry.channel or None,
        "message_id": entry.message or None,
        "status": entry.status,
        "value": entry.value,
        "samples": entry.samples,
        "count": entry.count,
    }


def tell_episode(episode: Episode, clocks: Clocks, rules: Mapping[str, Rule]) -> Answer:
    """Return an incident as history keeps it."""
    ended = episode.ended_at
    return {
        "id": episode.id,
        "fingerprint": episode.fingerprint,
        "rule": episode.rule,
        "labels": dict(episode.labels),
        "annotations": annotated(
            rules.get(episode.rule or ""), episode.annotations, episode.labels, None
        ),
        "severity": episode.severity,
        "started_at": clocks.told(episode.started_at),
        "ended_at": clocks.told(ended),
        "end_reason": episode.end_reason,
        "duration_seconds": round((clocks.own if ended is None else ended) - episode.started_at, 3),
    }


def cursor(page: Sequence[Episode]) -> str | None:
    """Return where the next page begins."""
    return f"{page[-1].started_at!r}_{page[-1].id}" if page else None


def parse_cursor(text: str | None) -> tuple[float, str] | None:
    """Return where a page begins; raises ``InvalidError`` for what was not answered as ``next``."""
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidError("it must be what an answer had as next", path="before")
    return float(match[1]), match[2]
