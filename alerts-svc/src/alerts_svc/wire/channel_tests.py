"""Test messages: what is sent to see whether a channel works, and what came of it."""

from __future__ import annotations

import uuid
from typing import Any

from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.severity import Severity
from alerts_svc.ports import Refused, Result, Retry, Sent

Answer = dict[str, Any]

ALERTNAME = "WindsockTest"


def make_test_message(channel: Channel, *, wall: float) -> Message:
    """Return a message that says that it is a test, with an id of its own; a heartbeat has no alerts in it."""
    identity = uuid.uuid4().hex
    heartbeat = channel.kind is Kind.HEARTBEAT
    labels = {"alertname": ALERTNAME}
    item = Item(
        incident=identity,
        sequence=1,
        change=Change.FIRED,
        fingerprint=identity[:16],
        labels=labels | {"severity": Severity.WARNING.value},
        annotations={
            "summary": f"This is a test of the channel {channel.name}",
            "impact": "None. Somebody has asked for this message to see whether it arrives.",
        },
        severity=Severity.WARNING,
        starts_at=wall,
        actions=("Nothing has to be done.",),
    )
    return Message(
        id=identity,
        channel=channel.name,
        group_key=f"test:{identity}",
        group_labels=labels,
        thread=identity,
        reason="test",
        created_at=wall,
        severity=Severity.WARNING,
        status="firing",
        items=() if heartbeat else (item,),
        told=(),
        counts={} if heartbeat else {"new": 1},
    )


def tell_result(message: Message, result: Result, took_seconds: float) -> Answer:
    """Return what came of a test message."""
    common: Answer = {"message_id": message.id, "took_ms": round(took_seconds * 1000, 1)}
    if isinstance(result, Sent):
        return common | {
            "delivered": True,
            "outcome": "sent",
            "status": result.status,
            "reason": result.note or None,
            "retry_after_seconds": None,
        }
    after = result.after if isinstance(result, Retry) else None
    unknown = isinstance(result, Retry) and result.unknown
    words = {Retry: "failed", Refused: "refused"}
    return common | {
        "delivered": False,
        "outcome": "unknown" if unknown else words[type(result)],
        "status": result.status,
        "reason": result.reason,
        "retry_after_seconds": after,
    }
