"""A gap of a request, made ready: its key, and how good its question must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from adaptive_questions.domain.background import Background
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Gap, Language, Priority
from adaptive_questions.domain.skill import normalized

MAX_SHARED: Final = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """One gap to be answered. Asks with equal keys have equal answers."""

    gap: Gap
    key: str
    threshold: float


def asks(
    gaps: Iterable[Gap], background: Background, language: Language, choices: Choices
) -> list[Ask]:
    """Return an ask for each gap, in their order."""
    return [
        Ask(gap, _key(gap, background, language, choices), choices.threshold(gap.priority))
        for gap in gaps
    ]


def _key(gap: Gap, background: Background, language: Language, choices: Choices) -> str:
    """Return the digest of all that shapes the answer; how it is reached, flags may change."""
    shaping = (
        normalized(gap.skill),
        gap.priority,
        normalized(gap.description),
        language,
        background.digest,
        choices.model,
        choices.embedding_model,
        choices.rag_threshold,
        choices.dynamic_thresholds,
        choices.cards,
        choices.advanced_evaluation,
    )
    return blake2b(msgspec.json.encode(shaping), digest_size=16).hexdigest()


def groups(asked: Sequence[Ask], *, shared: bool) -> list[list[Ask]]:
    """Return the asks that share a run: up to five of equal priority, or each by itself.

    The most important come first; within a priority the order stays.
    """
    if not shared:
        return [[ask] for ask in asked]
    made = []
    for priority in Priority:
        equal = [ask for ask in asked if ask.gap.priority is priority]
        made += [equal[at : at + MAX_SHARED] for at in range(0, len(equal), MAX_SHARED)]
    return made
