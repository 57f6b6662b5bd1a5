"""Items as they are kept in ``json`` columns, and text that PostgreSQL can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flags_svc.domain import flag as flags
from flags_svc.domain.world import Item, ItemKind
from windsock.flags import definition

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# PostgreSQL knows no NUL, and UTF-8 no lone surrogate.
_UNHOLDABLE = dict.fromkeys((0, *range(55296, 57344)), REPLACEMENT)

_TYPES: Mapping[str, Any] = {
    made.__name__: made
    for made in (
        *(flags.ManagedFlag, flags.Environment, flags.InEnvironment, flags.Step, flags.Kind),
        *(definition.Segment, definition.Rule, definition.Target, definition.Prerequisite),
        *(definition.Condition, definition.All, definition.Any, definition.Not),
        *(definition.InSegment, definition.Split, definition.Rollout, frozenset, tuple),
    )
}


def text(value: str) -> str:
    """Return ``value`` without what PostgreSQL cannot hold."""
    return value if value.isascii() and "\0" not in value else value.translate(_UNHOLDABLE)


def dump(item: Item) -> str:
    """Return an item as JSON."""
    return msgspec.json.encode(_plain(item)).decode()


def load(kind: ItemKind, content: str) -> Item:
    """Return the item of ``kind`` from its JSON."""
    item: Item = _made(msgspec.json.decode(content))
    return item


def _plain(value: Any) -> Any:
    name = type(value).__name__
    if isinstance(value, flags.Kind):
        return {"Kind": value.value}
    if isinstance(value, frozenset | tuple):
        return {name: [_plain(each) for each in value]}
    if isinstance(value, Mapping):
        return {"": {key: _plain(member) for key, member in value.items()}}
    if name in _TYPES:
        return {name: {field: _plain(getattr(value, field)) for field in value.__slots__}}
    return {"=": value}


def _made(value: Mapping[str, Any]) -> Any:
    ((name, held),) = value.items()
    if name == "=":
        return held
    if name == "":
        return {key: _made(member) for key, member in held.items()}
    if name == "Kind":
        return flags.Kind(held)
    if isinstance(held, list):
        return _TYPES[name](_made(each) for each in held)
    return _TYPES[name](**{field: _made(member) for field, member in held.items()})
