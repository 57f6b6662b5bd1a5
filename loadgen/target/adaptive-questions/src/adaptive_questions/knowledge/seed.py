"""What the knowledge base holds from the start: data files of this package."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal
from uuid import NAMESPACE_URL, uuid5

import msgspec

Shelf = Literal["questions", "resources"]
SHELVES: Final[tuple[Shelf, ...]] = ("questions", "resources")


@dataclass(frozen=True, slots=True)
class Item:
    """Something on a shelf. ``kind`` is that of a resource, empty for a question."""

    skill: str
    title: str
    kind: str = ""

    @property
    def id(self) -> str:
        """The same for the same item in every process, so that it is stored once."""
        return str(uuid5(NAMESPACE_URL, f"{self.skill}\n{self.kind}\n{self.title}"))

    @property
    def text(self) -> str:
        """What is embedded."""
        return f"{self.skill}: {self.title}"


class _Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["book", "course", "documentation", "exercise"]
    title: str


def items(shelf: Shelf) -> list[Item]:
    """Return what belongs on ``shelf``."""
    return list(_questions() if shelf == "questions" else _resources())


def _questions() -> Iterable[Item]:
    for skill, titles in msgspec.json.decode(_data("questions"), type=dict[str, list[str]]).items():
        yield from (Item(skill, title) for title in titles)


def _resources() -> Iterable[Item]:
    data = msgspec.json.decode(_data("resources"), type=dict[str, list[_Resource]])
    for skill, resources in data.items():
        yield from (Item(skill, each.title, each.kind) for each in resources)


def _data(shelf: Shelf) -> bytes:
    return files("adaptive_questions").joinpath(f"knowledge/{shelf}.json").read_bytes()
