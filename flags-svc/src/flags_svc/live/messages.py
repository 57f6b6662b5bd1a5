"""What flags-svc processes tell each other on Redis: ``{"epoch", "changes": [...]}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import orjson

from flags_svc.domain.world import Change
from flags_svc.wire.changes import change_document, change_of
from windsock_kit.errors import ServiceError

CHANNEL = "windsock:flags:changes"


class UnreadableError(Exception):
    """A message that this version of the service cannot read."""


class _Change(msgspec.Struct):
    revision: int
    version: int
    at: float
    author: str
    comment: str
    action: str
    kind: Literal["flag", "segment", "environment"]
    key: str
    # What the item is now, as in the API; ``null`` if it was deleted.
    item: Any


class _Message(msgspec.Struct):
    epoch: str
    changes: list[_Change]


_messages = msgspec.json.Decoder(_Message)


def write(epoch: str, changes: Sequence[Change]) -> bytes:
    """Return the message about ``changes``."""
    return orjson.dumps({"epoch": epoch, "changes": [change_document(each) for each in changes]})


def read(body: bytes) -> tuple[str, list[Change]]:
    """Return the epoch and the changes that a message tells of; raises ``UnreadableError``."""
    try:
        message = _messages.decode(body)
        return message.epoch, [change_of(msgspec.structs.asdict(each)) for each in message.changes]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ServiceError) as error:
        raise UnreadableError(str(error)) from error
