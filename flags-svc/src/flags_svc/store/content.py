"""Items as they are kept in ``json`` columns, and text that PostgreSQL can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson

from flags_svc.domain.documents import item_document, item_of
from flags_svc.domain.world import Item, ItemKind
from windsock_kit.errors import ServiceError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# PostgreSQL knows no NUL, and UTF-8 no lone surrogate.
_UNHOLDABLE = dict.fromkeys((0, *range(55296, 57344)), REPLACEMENT)


# As many as nobody notices.
FEW = 50
T = TypeVar("T")
R = TypeVar("R")


class UnreadableItemError(Exception):
    """What is kept is no item to this version of the service."""


def text(value: str) -> str:
    """Return ``value`` without what PostgreSQL cannot hold."""
    return value if value.isascii() and "\0" not in value else value.translate(_UNHOLDABLE)


def dump(item: Item) -> str:
    """Return an item as JSON, as people write and read it."""
    return orjson.dumps(item_document(item)).decode()


def load(kind: ItemKind, key: str, content: str | bytes) -> Item:
    """Return the item of ``kind`` from its JSON; raises ``UnreadableItemError``."""
    try:
        return item_of(kind, orjson.loads(content), key=key)
    except ServiceError as error:
        where = f" at {error.path}" if error.path else ""
        raise UnreadableItemError(f"{kind} {key} as it is kept{where}: {error.detail}") from error


async def at_leisure(make: Callable[[Sequence[T]], R], things: Sequence[T]) -> R:
    """Return ``make(things)``, made in a thread if there are many of them: others want answers meanwhile."""
    return make(things) if len(things) <= FEW else await asyncio.to_thread(make, things)
