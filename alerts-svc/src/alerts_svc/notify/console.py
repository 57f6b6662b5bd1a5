"""The console: one line of JSON on standard output, and a block for people on standard error.

Standard output thus stays one JSON object a line, as the log is, whatever stands in a label.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from alerts_svc.domain import wording
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.labels import SEVERITY
from alerts_svc.domain.message import Item, Message
from alerts_svc.domain.plain import plain, plain_map
from alerts_svc.domain.severity import Severity
from alerts_svc.notify.lines import lines
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import dumps, fitting, least_line, rendered, rfc3339
from alerts_svc.notify.webhook import change, details, facts, foremost
from alerts_svc.ports import Result, Sent

# Docker cuts lines at 16 KiB.
MAX_LINE_BYTES = 16_000
_FEW = 10
_RULE = "=" * 78


class Console:
    """Writes messages; it is always there, so it never fails."""

    def __init__(self, links: Links, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._links = links
        self._out = out
        self._err = err

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Write the line, then the block."""
        line = rendered(message, lambda m: json_line(m, self._links), _least_json)
        text = rendered(message, lambda m: "\n".join(lines(m, self._links)), least_line)
        _write(self._out or sys.stdout, line.decode() + "\n")
        _write(self._err or sys.stderr, f"{_RULE}\n{text}\n{_RULE}\n")
        return Sent()


def _write(stream: TextIO, text: str) -> None:
    # A reader that has gone, or a terminal that cannot show a character, must not fail a page.
    with suppress(OSError, ValueError):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def json_line(message: Message, links: Links) -> bytes:
    """Return the message as one line of JSON of at most 16 kB."""
    line = fitting(
        lambda n: dumps(_content(message, message.items[:n], links)),
        len(message.items),
        MAX_LINE_BYTES,
    )
    if len(line) > MAX_LINE_BYTES:
        # A single alert with many long labels.
        line = dumps(_content(message, message.items[:1], links, names=_FEW))
    return line


def _level(message: Message) -> str:
    if message.status != "firing":
        return "info"
    return "critical" if message.severity is Severity.CRITICAL else "warning"


def _content(
    message: Message, items: Sequence[Item], links: Links, *, names: int = 64
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "event": "alert",
        "level": _level(message),
        "timestamp": rfc3339(message.created_at),
        "service": "alerts-svc",
        "message_id": message.id,
        "status": message.status,
        "severity": message.severity.value,
        "reason": message.reason,
        "group_key": plain(message.group_key, 1024),
        "summary": wording.headline(message),
        "counts": message.counts,
        "truncated": message.truncated + len(message.items) - len(items),
        "alerts": [_alert(item, message, links, names) for item in items],
    }
    if message.notice:
        found["notice"] = plain(message.notice, 500)
    if message.details is not None:
        found["details"] = details(message.details)
    if message.changes:
        found["changes"] = [change(event) for event in message.changes[:5]]
    return found


def _alert(item: Item, message: Message, links: Links, names: int) -> dict[str, Any]:
    labels = plain_map(foremost(item.labels), names=names, limit=256)
    labels.setdefault(SEVERITY, item.severity.value)
    found = facts(item, message) | {
        "title": wording.title(item),
        "labels": labels,
        "starts_at": rfc3339(item.starts_at),
        "ends_at": None if item.ends_at is None else rfc3339(item.ends_at),
        "dashboard": links.dashboard(item),
    }
    # A test is about no incident that could be looked at.
    return found if message.reason == "test" else found | {"timeline": links.timeline(item)}


def _least_json(message: Message) -> bytes:
    return dumps(
        {
            "event": "alert",
            "level": "critical",
            "service": "alerts-svc",
            "message_id": message.id,
            "summary": least_line(message),
        }
    )
