"""What is told elsewhere when a channel could not deliver."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message

CONSOLE = Channel("console", Kind.CONSOLE)
# Nobody waits for these: a heartbeat that is late says the wrong thing, and who tests a channel looks at it.
UNSUPPORTED = frozenset({"heartbeat", "test"})
_NAMESPACE = uuid.UUID("5f0a7d5e-8f43-5c6c-9d0e-4c1e6a1b7a10")


def elsewhere(
    message: Message,
    *,
    why: str,
    channels: Mapping[str, Channel],
    fallback: str | None,
    wall: float,
) -> tuple[Message, ...]:
    """Return what is to be told instead of a message that its channel could not deliver.

    It goes to the console and to the fallback channel, each time with the same id. What stood in for another channel
    already goes to the console alone, so that two channels cannot play it back and forth.
    """
    if message.channel == CONSOLE.name or message.reason in UNSUPPORTED:
        return ()
    found = []
    other = channels.get(fallback) if fallback is not None and not message.notice else None
    if other is not None and _usable(other) and other.name != message.channel:
        found.extend(_addressed(message, other))
    found.append(_to(message, CONSOLE.name, message.thread))
    notice = f"Not delivered on channel {message.channel}: {why}"
    if message.notice:
        notice = f"{message.notice}. {notice}"
    return tuple(replace(other, notice=notice, created_at=wall) for other in found)


def _usable(channel: Channel) -> bool:
    return (
        channel.enabled and channel.disabled_reason is None and channel.kind is not Kind.HEARTBEAT
    )


def _addressed(message: Message, channel: Channel) -> list[Message]:
    """Return it for one channel: PagerDuty takes one incident at a time."""
    if channel.kind is not Kind.PAGERDUTY:
        return [_to(message, channel.name, message.thread)]
    return [
        replace(
            _to(message, channel.name, item.incident),
            items=(item,),
            truncated=0,
            queue=item.incident,
        )
        for item in message.items
        if item.change is not None
    ]


def _to(message: Message, channel: str, part: str) -> Message:
    # It tells of no transition: the other channel may have tellings of its own of the same ones.
    identity = uuid.uuid5(_NAMESPACE, f"{message.id}:{channel}:{part}").hex
    return replace(message, id=identity, channel=channel, told=())
