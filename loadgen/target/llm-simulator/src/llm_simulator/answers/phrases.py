"""The sentences of each language, and by what the features of a question are known in any of them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import msgspec

from llm_simulator.answers.task import Language

Feature = Literal["context", "scenario", "tradeoffs", "measure"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a question asks, by difficulty; ``vague`` ones do not even name the skill."""

    easy: list[str]
    medium: list[str]
    hard: list[str]
    vague: list[str]


class PerFeature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts for each feature."""

    context: list[str]
    scenario: list[str]
    tradeoffs: list[str]
    measure: list[str]

    def of(self, feature: Feature) -> list[str]:
        """Return the texts for a feature."""
        texts: list[str] = getattr(self, feature)
        return texts


class Phrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentences of one language.

    ``source`` are sentences for the context that name a resource. ``praise`` and ``advice`` make the feedback on a question,
    ``on_answer`` that on a candidate's answer, from weak to strong. ``marks`` are beginnings of words.
    """

    core: Core
    feature: PerFeature
    source: list[str]
    points: list[str]
    follow_up: list[str]
    deep_dive: list[str]
    praise: list[str]
    vague: list[str]
    advice: PerFeature
    fine: list[str]
    advanced: list[str]
    on_answer: list[str]
    marks: PerFeature
    reasons: list[str]


@cache
def phrases(language: Language) -> Phrases:
    """Return the sentences of a language."""
    text = files("llm_simulator.answers").joinpath("languages", f"{language}.toml").read_bytes()
    return msgspec.toml.decode(text, type=Phrases)


@cache
def _marks(feature: Feature) -> re.Pattern[str]:
    marks = [mark for language in LANGUAGES for mark in phrases(language).marks.of(feature)]
    return _beginnings(marks)


@cache
def reasons() -> re.Pattern[str]:
    """Return what finds words that give a reason or an example, in any language."""
    return _beginnings([mark for language in LANGUAGES for mark in phrases(language).reasons])


def _beginnings(marks: list[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(set(marks)))) + ")", re.IGNORECASE)


def features_of(text: str) -> frozenset[Feature]:
    """Return the features that ``text`` has, in whichever language it is written."""
    return frozenset(feature for feature in FEATURES if _marks(feature).search(text))
