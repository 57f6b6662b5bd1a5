"""The file of skills: large enough, and nothing in it twice."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import msgspec

from llm_simulator.embedding.taxonomy import words_of

FAMILIES = msgspec.toml.decode(
    files("llm_simulator.embedding").joinpath("taxonomy.toml").read_bytes()
)["family"]
GROUPS = [group for family in FAMILIES for group in family["group"]]


def test_there_are_hundreds_of_skills_in_groups_and_families() -> None:
    assert sum(len(group["skills"]) for group in GROUPS) > 400
    assert len(FAMILIES) > 10
    assert min(len(group["skills"]) for group in GROUPS) >= 5


def test_every_word_tells_one_group() -> None:
    names = [name for group in GROUPS for entry in group["skills"] for name in entry.split("|")]
    cues = [cue for group in GROUPS for cue in group["cues"]]

    counted = Counter(" ".join(words_of(name)).casefold() for name in [*names, *cues])

    assert [name for name, count in counted.items() if count > 1] == []
    assert "" not in counted


def test_groups_and_families_have_names_of_their_own() -> None:
    groups = Counter(group["name"] for group in GROUPS)
    families = Counter(family["name"] for family in FAMILIES)

    assert {*groups.values(), *families.values()} == {1}
