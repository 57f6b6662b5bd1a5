"""What flags-svc processes tell each other on Redis: ``{"epoch", "changes": [...]}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import orjson

from flags_svc.domain.documents import item_document, item_of
from flags_svc.domain.world import Author, Change, Edit
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
    return orjson.dumps({"epoch": epoch, "changes": [_document(change) for change in changes]})


def read(body: bytes) -> tuple[str, list[Change]]:
    """Return the epoch and the changes that a message tells of; raises ``UnreadableError``."""
    try:
        message = _messages.decode(body)
        return message.epoch, [_change(told) for told in message.changes]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ServiceError) as error:
        raise UnreadableError(str(error)) from error


def _document(change: Change) -> dict[str, object]:
    edit = change.edit
    return {
        "revision": change.revision,
        "version": change.version,
        "at": change.at,
        "author": change.author.name,
        "comment": change.author.comment,
        "action": edit.action,
        "kind": edit.kind,
        "key": edit.key,
        "item": None if edit.item is None else item_document(edit.item),
    }


def _change(told: _Change) -> Change:
    item = None if told.item is None else item_of(told.kind, told.item, key=told.key)
    edit = Edit(told.kind, told.key, item, told.action)
    return Change(told.revision, told.version, told.at, Author(told.author, told.comment), edit)
