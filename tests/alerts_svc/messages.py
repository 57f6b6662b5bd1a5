"""Messages for tests of what is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alerts_svc.domain.alert import Change
from alerts_svc.domain.message import ChangeEvent, Details, Item, Message
from alerts_svc.domain.severity import Severity

NOW = 1_790_000_000.0
INCIDENT = "0f8fad5bd9cb469fa16570867728950e"

ITEM = Item(
    incident=INCIDENT,
    sequence=1,
    change=Change.FIRED,
    fingerprint="a1b2c3d4e5f60718",
    labels={"alertname": "ErrorRate", "operation": "chat"},
    annotations={"summary": "Too many errors of chat", "runbook_url": "https://runbooks.example/e"},
    severity=Severity.CRITICAL,
    starts_at=NOW - 200,
    rule="ErrorRate",
    value=0.1243,
    threshold=0.1,
    comparison=">",
    unit="percent",
    window_seconds=300,
    samples=1204,
    actions=("Look at the provider's status page", "Turn the newest flag off"),
)

MESSAGE = Message(
    id="5f0a7d5e8f435c6c9d0e4c1e6a1b7a10",
    channel="here",
    group_key='default:{alertname="ErrorRate"}',
    group_labels={"alertname": "ErrorRate"},
    thread="thread-1",
    reason="first",
    created_at=NOW,
    severity=Severity.CRITICAL,
    status="firing",
    items=(ITEM,),
    told=((INCIDENT, 1),),
    counts={"new": 1},
    details=Details(("chat",), 3211.2, 0.1243, 1.2, (("gpt-4o", 0.81),)),
    changes=(ChangeEvent("1", "flag", "new-prompt", "on for everybody", "ana", NOW - 300),),
)

RESOLVED = replace(
    MESSAGE,
    id="6a0a7d5e8f435c6c9d0e4c1e6a1b7a11",
    reason="all_resolved",
    status="resolved",
    items=(replace(ITEM, change=Change.RESOLVED, sequence=2, ends_at=NOW),),
    told=((INCIDENT, 2),),
    counts={"resolved": 1},
)

TEST = replace(
    MESSAGE,
    reason="test",
    severity=Severity.WARNING,
    items=(
        replace(
            ITEM,
            labels={"alertname": "WindsockTest"},
            annotations={"summary": "This is a test of the channel here"},
            severity=Severity.WARNING,
            value=None,
            threshold=None,
            actions=("Nothing has to be done.",),
        ),
    ),
    told=(),
    details=None,
    changes=(),
)
HEARTBEAT = replace(
    MESSAGE,
    reason="heartbeat",
    items=(),
    told=(),
    counts={},
    details=None,
    changes=(),
)


def message(*items: Item, **changes: Any) -> Message:
    """Return the message about other items, or otherwise changed."""
    return replace(MESSAGE, items=items or MESSAGE.items, **changes)
