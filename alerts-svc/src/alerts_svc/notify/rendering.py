"""What all channels share: a message always becomes something, at most so large, without anybody's secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import structlog

from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Message
from alerts_svc.domain.plain import plain

log = structlog.get_logger()

_SHORT_SECRET = 6
_MAX_REASON = 500


T = TypeVar("T")


def rendered(message: Message, full: Callable[[Message], T], least: Callable[[Message], T]) -> T:
    """Return the message in full, or the least that still tells it where that fails, whatever the reason."""
    try:
        return full(message)
    except Exception:
        log.exception("rendering_failed", message_id=message.id, channel=message.channel)
        return least(message)


def least_line(message: Message) -> str:
    """Return what a message without its details comes down to."""
    names = {item.labels.get("alertname", "alert") for item in message.items[:20]}
    shown = ", ".join(sorted(plain(name, 80) for name in names)) or "no alert"
    return plain(f"{message.severity.upper()} {message.status}: {shown} ({message.id})", 600)


def fitting(build: Callable[[int], bytes], count: int, limit: int) -> bytes:
    """Return what ``build`` makes of as many of ``count`` items as fit in ``limit`` bytes, of one at least."""
    body = build(count)
    while len(body) > limit and count > 1:
        # An item is about as long as the others; a shortfall is made up for in the next round.
        count = max(min(count - 1, count * limit // len(body)), 1)
        body = build(count)
    return body


def moment(at: float) -> datetime:
    """Return a time of the wall clock; what no calendar has is 1970, for a message is sent all the same."""
    try:
        return datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def rfc3339(at: float) -> str:
    """Return a time of the wall clock as RFC 3339 says, in UTC and to the millisecond."""
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dumps(content: object) -> bytes:
    """Return JSON on one line; NaN and infinities are ``null``."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def without_secrets(text: str, channel: Channel) -> str:
    """Return ``text`` as one short line without anything secret of the channel's settings."""
    for secret in _secrets(channel.settings):
        text = text.replace(secret, "***")
    return plain(text, _MAX_REASON)


def _secrets(settings: Mapping[str, Any]) -> list[str]:
    """Return what must not be told: all texts of the settings but the names of people and hosts."""
    shown = {"host", "username", "sender", "recipients", "security", "hello_name"}
    found: set[str] = set()
    for key, value in settings.items():
        if key not in shown:
            found.update(_texts(value))
    # The longest first: one may be part of another.
    return sorted((t for t in found if len(t) >= _SHORT_SECRET), key=len, reverse=True)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        path = value.split("://", 1)[-1].partition("/")[2]
        return [value, path, value.removeprefix("whsec_"), value.removeprefix("Bearer ")]
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _texts(inner)]
    return []
