"""What alerts-svc is told of a change: in a line, for people who look for the cause of an alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from flags_svc.domain.difference import difference
from flags_svc.domain.world import Change, Item, ItemKind

MAX_DESCRIPTION = 500
# What was committed together with more than these is told as one: nobody reads a thousand lines.
MAX_SINGLE = 10
_MAX_NAMED = 5
_MAX_VALUE = 60
_WORDS: Mapping[ItemKind, str] = {"flag": "", "segment": "segment ", "environment": "environment "}


@dataclass(frozen=True, slots=True)
class Telling:
    """A change as alerts-svc takes it; ``at`` in seconds since 1970. The ``id`` is the same whenever it is told."""

    id: str
    kind: str
    name: str
    description: str
    author: str
    at: float


def commits(changes: Iterable[Change]) -> Iterator[Sequence[Change]]:
    """Return changes as they were committed together: these have their time and their author in common."""
    for _, together in groupby(changes, lambda change: (change.at, change.author)):
        yield tuple(together)


def telling_of_many(epoch: str, changes: Sequence[Change]) -> Telling:
    """Return what to tell of many changes that were committed together, such as an import."""
    last = changes[-1]
    named = ", ".join(f"{_WORDS[each.edit.kind]}{each.edit.key}" for each in changes[:_MAX_NAMED])
    actions = ", ".join(dict.fromkeys(each.edit.action for each in changes))
    told = f"{actions}: {named} and {len(changes) - _MAX_NAMED} more{_why(last)}"
    return Telling(
        _id(epoch, last),
        "flag" if any(each.edit.kind == "flag" for each in changes) else "config",
        f"{len(changes)} changes",
        _cut(told, MAX_DESCRIPTION),
        last.author.name,
        last.at,
    )


def telling(epoch: str, change: Change, before: Item | None) -> Telling:
    """Return what to tell of a change; ``before`` is what the item was."""
    edit = change.edit
    return Telling(
        _id(epoch, change),
        "flag" if edit.kind == "flag" else "config",
        f"{_WORDS[edit.kind]}{edit.key}",
        _cut(_description(change, before), MAX_DESCRIPTION),
        change.author.name,
        change.at,
    )


def _description(change: Change, before: Item | None) -> str:
    told = change.edit.action
    if before is not None and change.edit.item is not None:
        # What a schedule has done and has still to do says less than what it did.
        parts = [
            f"{_place(each['path'])} {_values(each)}"
            for each in difference(before, change.edit.item)
            if ".schedule" not in each["path"]
        ]
        more = [f"and {len(parts) - _MAX_NAMED} more"] if len(parts) > _MAX_NAMED else []
        told = ": ".join(filter(None, [told, ", ".join([*parts[:_MAX_NAMED], *more])]))
    return f"{told}{_why(change)}"


def _id(epoch: str, change: Change) -> str:
    return f"{epoch}-{change.revision}"


def _why(change: Change) -> str:
    return f" ({change.author.comment})" if change.author.comment else ""


def _place(path: str) -> str:
    return path.removeprefix("environments.") or "all"


def _values(each: Mapping[str, Any]) -> str:
    if "before" not in each:
        return f"is {_value(each['after'])}"
    if "after" not in each:
        return "is gone"
    return f"{_value(each['before'])} → {_value(each['after'])}"


def _value(value: object) -> str:
    return _cut(orjson.dumps(value).decode(), _MAX_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
