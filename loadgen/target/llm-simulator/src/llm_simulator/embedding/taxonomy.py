"""Which skills there are, in groups and families, and where a text mentions them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

# C++, C#, Node.js, CI/CD and .NET are words too.
_WORD = re.compile(r"\.?[^\W_](?:[\w+#./]*[\w+#])?")
_CUE_WEIGHT = 0.4


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    skills: list[str]
    cues: list[str] = []


class _Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    group: list[_Group]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family: list[_Family]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mention belongs. A cue is a word that tells the group but no skill of it."""

    family: str
    group: str
    skill: str | None
    # How it must be written; None: in any case.
    spelling: tuple[str, ...] | None = None

    @property
    def weight(self) -> float:
        """How much the mention tells of what the text is about."""
        return _CUE_WEIGHT if self.skill is None else 1.0


class Taxonomy:
    """Places by the words that mention them."""

    def __init__(self, places: Mapping[tuple[str, ...], Place]) -> None:
        self.places = places
        self._longest = max(map(len, places))

    def mentions(self, words: list[str]) -> Iterator[Place]:
        """Yield the place of each mention; of overlapping ones the first and longest."""
        folded = [word.casefold() for word in words]
        start = 0
        while start < len(words):
            for end in range(min(len(words), start + self._longest), start, -1):
                place = self.places.get(tuple(folded[start:end]))
                if place is None:
                    continue
                written = tuple(words[start:end])
                if place.spelling in {None, written} or len(written) == len(words):
                    yield place
                    start = end
                    break
            else:
                start += 1


def words_of(text: str) -> list[str]:
    """Return the words of ``text``, hyphenated ones apart."""
    return _WORD.findall(text.replace("-", " "))


@cache
def taxonomy() -> Taxonomy:
    """Return the taxonomy of the package's file.

    Other names of a skill stand behind a bar there. A name with capitals counts only when written like that, because it
    is an ordinary word too; a text that consists of it is about it in any case.
    """
    text = files("llm_simulator.embedding").joinpath("taxonomy.toml").read_bytes()
    places: dict[tuple[str, ...], Place] = {}
    for family in msgspec.toml.decode(text, type=_File).family:
        for group in family.group:
            for cue in group.cues:
                places[tuple(words_of(cue))] = Place(family.name, group.name, None)
            for entry in group.skills:
                names = entry.split("|")
                for name in names:
                    words = tuple(words_of(name))
                    folded = tuple(word.casefold() for word in words)
                    spelling = None if folded == words else words
                    places[folded] = Place(family.name, group.name, names[0], spelling)
    return Taxonomy(places)
