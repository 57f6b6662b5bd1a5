"""The sentences of all languages: complete, told apart by their features, without a slip in what is put in."""

from __future__ import annotations

import re

import msgspec
import pytest

from llm_simulator.answers.phrases import (
    FEATURES,
    LANGUAGES,
    Feature,
    Phrases,
    features_of,
    phrases,
)
from llm_simulator.answers.task import Language

CASES = [(language, feature) for language in LANGUAGES for feature in FEATURES]


def lists(words: Phrases) -> dict[str, list[str]]:
    """Return every list of sentences of a language by its place in the file, marks left out."""
    found: dict[str, list[str]] = {}
    for name, value in msgspec.structs.asdict(words).items():
        if isinstance(value, list):
            found[name] = value
        elif name != "marks":
            found |= {
                f"{name}.{key}": entry for key, entry in msgspec.structs.asdict(value).items()
            }
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_as_many_sentences_as_english(language: Language) -> None:
    ours = {name: len(entries) for name, entries in lists(phrases(language)).items()}
    english = {name: len(entries) for name, entries in lists(phrases("english")).items()}

    assert {name: count for name, count in ours.items() if name != "reasons"} == {
        name: count for name, count in english.items() if name != "reasons"
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_what_is_known_is_put_in(language: Language) -> None:
    words = lists(phrases(language))

    braces = {
        (name, brace)
        for name, entries in words.items()
        for entry in entries
        for brace in re.findall(r"\{.*?\}", entry)
    }

    assert {brace for name, brace in braces if name == "source"} == {"{source}"}
    assert {brace for name, brace in braces if name != "source"} == {"{skill}"}
    asked = [*words["core.easy"], *words["core.medium"], *words["core.hard"], *words["deep_dive"]]
    assert [sentence for sentence in asked if "{skill}" not in sentence] == []
    assert [sentence for sentence in words["core.vague"] if "{skill}" in sentence] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_there_twice_or_lacks_its_end(language: Language) -> None:
    words = lists(phrases(language))
    sentences = [entry for entries in words.values() for entry in entries]

    assert len(sentences) == len(set(sentences))
    assert [
        entry
        for name, entries in words.items()
        if name not in {"points", "reasons"}
        for entry in entries
        if not entry.endswith((".", "?"))
    ] == []


@pytest.mark.parametrize(("language", "feature"), CASES)
def test_every_sentence_shows_its_feature_and_no_other(
    language: Language, feature: Feature
) -> None:
    for sentence in phrases(language).feature.of(feature):
        assert features_of(sentence) == {feature}, sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_naming_a_source_is_a_link_to_the_context(language: Language) -> None:
    for sentence in phrases(language).source:
        assert features_of(sentence.replace("{source}", "Kubernetes in Action")) == {"context"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_asked_has_no_feature_by_itself(language: Language) -> None:
    core = phrases(language).core

    for sentence in [*core.easy, *core.medium, *core.hard, *core.vague]:
        assert features_of(sentence) == frozenset(), sentence


def test_features_are_found_in_questions_that_people_write() -> None:
    question = (
        "Imagine that the search of our shop gets slow in December. Which trade-offs do you see,"
        " and which metric would you look at first?"
    )

    assert features_of(question) == {"scenario", "tradeoffs", "measure"}
    assert features_of("Angenommen, Sie kommen neu ins Team: Was tun Sie zuerst?") == {"scenario"}
    assert features_of("What do you know about search?") == frozenset()
