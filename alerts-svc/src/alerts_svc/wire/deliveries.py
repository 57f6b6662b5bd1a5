"""Deliveries and their attempts as they travel."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from alerts_svc.store.deliveries import FAILED, SENT, WAITING, Attempt, KeptDelivery
from alerts_svc.wire.decoding import Short, decode
from alerts_svc.wire.times import Clocks, instant

Answer = dict[str, Any]
MAX_NUMBER = 2**63 - 1


class DeliveryStatus(StrEnum):
    """Where a delivery is."""

    WAITING = WAITING
    SENT = SENT
    FAILED = FAILED


class ReplayBody(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants it sent again."""

    by: Short = "api"


_replay = msgspec.json.Decoder(ReplayBody)


def parse_replay(body: bytes) -> str:
    """Decode who wants a message sent again; the body may be empty."""
    return decode(_replay, body).by if body.strip() else ReplayBody().by


def tell_delivery(found: KeptDelivery, clocks: Clocks, *, attempts: bool = False) -> Answer:
    """Return a delivery as it is told; ``attempts`` adds each of them."""
    message = found.message
    told: Answer = {
        "id": found.id,
        "message_id": message.id,
        "channel": message.channel,
        "status": found.status,
        "reason": found.reason or None,
        "attempts": found.attempts,
        "created_at": instant(found.created_at),
        # What may be sent at once has been due since it was put there.
        "next_at": None if found.next_at is None else clocks.told(max(found.next_at, found.since)),
        "finished_at": clocks.told(found.finished_at),
        "message": {
            "reason": message.reason,
            "status": message.status,
            "severity": message.severity,
            "group_key": message.group_key,
            "group_labels": dict(message.group_labels),
            "told": [
                {"incident": incident, "sequence": sequence} for incident, sequence in message.told
            ],
            "alerts": len(message.items) + message.truncated,
            "notice": message.notice or None,
        },
    }
    if attempts:
        told["tries"] = [_attempt(each, clocks) for each in found.tries]
    return told


def _attempt(found: Attempt, clocks: Clocks) -> Answer:
    return {
        "number": found.number,
        "began_at": clocks.told(found.began_at),
        "ended_at": clocks.told(found.ended_at),
        "outcome": found.outcome,
        "status": found.status,
        "reason": found.reason or None,
        "next_at": clocks.told(found.next_at),
    }
