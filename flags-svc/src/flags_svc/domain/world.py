"""Everything that is configured, at one revision, and how it goes on to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from flags_svc.domain.flag import Environment, ManagedFlag
from windsock.flags.definition import Segment

ItemKind: TypeAlias = Literal["flag", "segment", "environment"]
Item: TypeAlias = ManagedFlag | Segment | Environment
T = TypeVar("T", ManagedFlag, Segment, Environment)
# Who does not say who they are.
ANONYMOUS = "anonymous"


class GapError(Exception):
    """A change does not follow on what is known: revisions in between are missing."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, and why if they say so; ``request`` is the change request that it came by, if any."""

    name: str
    comment: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """A wish: ``item`` becomes what ``key`` is, ``None`` deletes it. ``action`` says what people did, such as ``enable``."""

    kind: ItemKind
    key: str
    item: Item | None
    action: str


@dataclass(frozen=True, slots=True)
class Change:
    """A fact: what was committed as ``revision``, the one after the one before in the whole suite.

    ``version`` counts the changes of this item, from 1, over its deletion too. ``at`` is the
    database's time in seconds since 1970.
    """

    revision: int
    version: int
    at: float
    author: Author
    edit: Edit


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """An item with when and by whom it came to be what it is; times in seconds since 1970."""

    item: T
    version: int
    revision: int
    created_at: float
    updated_at: float
    updated_by: str


@dataclass(frozen=True, slots=True)
class World:
    """All that is configured at ``revision``. ``epoch`` names the life of the database: revisions of another one say nothing."""

    epoch: str
    revision: int = 0
    flags: Mapping[str, Stored[ManagedFlag]] = field(default_factory=dict)
    segments: Mapping[str, Stored[Segment]] = field(default_factory=dict)
    environments: Mapping[str, Stored[Environment]] = field(default_factory=dict)

    def after(self, changes: Iterable[Change]) -> World:
        """Return the world with ``changes``, in the order of their revisions; raises ``GapError``."""
        parts: dict[str, dict[str, Stored[Any]]] = {}
        revision = self.revision
        for change in changes:
            if change.revision != revision + 1:
                raise GapError(f"revision {change.revision} does not follow on {revision}")
            revision = change.revision
            kind = change.edit.kind
            if kind not in parts:
                parts[kind] = dict(self._part(kind))
            _apply(parts[kind], change)
        return World(
            self.epoch,
            revision,
            parts.get("flag", self.flags),
            parts.get("segment", self.segments),
            parts.get("environment", self.environments),
        )

    def _part(self, kind: ItemKind) -> Mapping[str, Stored[Any]]:
        parts: dict[ItemKind, Mapping[str, Stored[Any]]] = {
            "flag": self.flags,
            "segment": self.segments,
            "environment": self.environments,
        }
        return parts[kind]


def _apply(part: dict[str, Stored[Any]], change: Change) -> None:
    edit = change.edit
    before = part.get(edit.key)
    if edit.item is None:
        part.pop(edit.key, None)
        return
    part[edit.key] = Stored(
        edit.item,
        change.version,
        change.revision,
        change.at if before is None else before.created_at,
        change.at,
        change.author.name,
    )
