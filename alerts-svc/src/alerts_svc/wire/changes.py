"""Change events as they travel: what people changed in the application, such as a flag or a deployment."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts_svc.domain.message import ChangeEvent
from alerts_svc.wire.decoding import Short, Text, decode
from alerts_svc.wire.times import Moment, instant, seconds_of
from windsock_kit.errors import InvalidError

Answer = dict[str, Any]
# The clocks of two hosts may differ by as much.
AHEAD_SECONDS = 300.0
ChangeId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}\Z", max_length=200)]


class ChangeKind(StrEnum):
    """What was changed."""

    FLAG = "flag"
    DEPLOYMENT = "deployment"
    CONFIG = "config"
    OTHER = "other"


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change; without ``at`` it is of now. Whoever gives an ``id`` may send it again."""

    id: ChangeId | None = None
    kind: ChangeKind
    name: Short
    description: Text = ""
    author: Text = ""
    at: Moment | None = None


_decoder = msgspec.json.Decoder(ChangeBody)


def parse_change(body: bytes, *, wall: float) -> ChangeEvent:
    """Decode a change."""
    given = decode(_decoder, body)
    at = wall if given.at is None else seconds_of(given.at, "at")
    if at > wall + AHEAD_SECONDS:
        raise InvalidError("it lies in the future", path="at")
    return ChangeEvent(
        *(given.id or uuid.uuid4().hex, given.kind, given.name),
        *(given.description, given.author, at),
    )


def tell_change(change: ChangeEvent) -> Answer:
    """Return a change as it is told."""
    return {
        "id": change.id,
        "kind": change.kind,
        "name": change.name,
        "description": change.description,
        "author": change.author,
        "at": instant(change.at),
    }
