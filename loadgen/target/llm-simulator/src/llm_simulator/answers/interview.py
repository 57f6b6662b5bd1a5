"""Questions and deep-dive prompts for gaps.

How good a question is shows in its text: each feature it has makes it better, and the judge looks for just those.
"""

from __future__ import annotations

from typing import Any

from llm_simulator.answers.phrases import FEATURES, Feature, Phrases, features_of, phrases
from llm_simulator.answers.task import (
    DeepDivePrompts,
    Draft,
    Gap,
    GenerateQuestions,
    Priority,
    RefineQuestions,
)
from llm_simulator.domain.draw import Draws

# What a whole context (four similar questions and four resources for each gap) adds to the craft.
CONTEXT_CRAFT = 0.2
REFINING_CRAFT = 0.05
_FULL_CONTEXT = 4
# Where in a question a feature stands: before what is asked, or behind it.
_BEFORE: tuple[Feature, ...] = ("context", "scenario")
_BEHIND: tuple[Feature, ...] = ("tradeoffs", "measure")
_DIFFICULTY = {
    "CRITICAL": ("medium", "hard", "hard"),
    "HIGH": ("medium", "medium", "hard"),
    "MEDIUM": ("easy", "medium", "hard"),
    "LOW": ("easy", "easy", "medium"),
}


class Writer:
    """Writes for one prompt: everything it draws depends on seed and ``about``, a digest of model and messages."""

    def __init__(self, draws: Draws, about: str, *, craft: float, quality_drop: float) -> None:
        self._draws = draws
        self._about = about
        self._craft = craft
        self._drop = quality_drop

    def generate(self, task: GenerateQuestions) -> dict[str, Any]:
        """Return one question for each gap."""
        craft = self._craft + CONTEXT_CRAFT * _context(task)
        prompts = {entry.id: entry.prompts for entry in task.deep_dive_prompts}
        words = phrases(task.language)
        return {
            "questions": [
                self._question(words, gap, craft, _resources(task, gap), prompts.get(gap.id, []))
                for gap in task.gaps
            ]
        }

    def deep_dive(self, task: DeepDivePrompts) -> dict[str, Any]:
        """Return three prompts for each gap."""
        words = phrases(task.language)
        return {
            "prompts": [
                {
                    "id": gap.id,
                    "prompts": _filled(self._some(words.deep_dive, 3, gap.id), gap.skill),
                }
                for gap in task.gaps
            ]
        }

    def refine(self, task: RefineQuestions) -> dict[str, Any]:
        """Return each question with what it lacks."""
        words = phrases(task.language)
        return {"questions": [self._refined(words, item) for item in task.items]}

    def _question(
        self, words: Phrases, gap: Gap, craft: float, resources: list[str], prompts: list[str]
    ) -> dict[str, Any]:
        difficulty = self._difficulty(gap.priority, gap.id)
        has = {name: self._has(craft, name, gap.id) for name in FEATURES}
        if self._draws.happens(self._drop, self._about, gap.id, "vague"):
            core = words.core.vague
        else:
            core = getattr(words.core, difficulty)
        sentences = [
            *(self._sentence(words, name, gap.id, resources) for name in _BEFORE if has[name]),
            self._one(core, gap.id, "core"),
            *(self._sentence(words, name, gap.id, resources) for name in _BEHIND if has[name]),
        ]
        points = 4 if self._has(craft, "points", gap.id) else 3
        return {
            "id": gap.id,
            "skill": gap.skill,
            "question": " ".join(_filled(sentences, gap.skill)),
            "difficulty": difficulty,
            "expected_points": _filled(self._some(words.points, points, gap.id), gap.skill),
            "follow_up": _filled(
                [self._one(prompts or words.follow_up, gap.id, "next")], gap.skill
            )[0],
        }

    def _refined(self, words: Phrases, item: Draft) -> dict[str, Any]:
        craft = self._craft + REFINING_CRAFT
        found = features_of(item.question)
        added = [
            name
            for name in FEATURES
            if name not in found and self._has(craft, f"now {name}", item.id)
        ]
        difficulty = self._difficulty(item.priority, item.id)
        core = []
        if item.skill.casefold() not in item.question.casefold():
            core = [self._one(getattr(words.core, difficulty), item.id, "core")]
        sentences = [
            *(self._sentence(words, name, item.id, []) for name in _BEFORE if name in added),
            *core,
        ]
        behind = [self._sentence(words, name, item.id, []) for name in _BEHIND if name in added]
        question = [*_filled(sentences, item.skill), item.question, *_filled(behind, item.skill)]
        return {
            "id": item.id,
            "skill": item.skill,
            "question": " ".join(question),
            "difficulty": difficulty,
            "expected_points": _filled(self._some(words.points, 4, item.id), item.skill),
            "follow_up": _filled([self._one(words.follow_up, item.id, "next")], item.skill)[0],
        }

    def _has(self, craft: float, what: str, gap: str) -> bool:
        return self._draws.happens(craft * (1 - self._drop), self._about, gap, "has", what)

    def _sentence(self, words: Phrases, feature: Feature, gap: str, resources: list[str]) -> str:
        if feature == "context" and resources:
            source = self._one(resources, gap, "resource")
            return self._one(words.source, gap, "source").replace("{source}", source)
        return self._one(words.feature.of(feature), gap, feature)

    def _difficulty(self, priority: Priority, gap: str) -> str:
        return self._draws.choice(_DIFFICULTY[priority], self._about, gap, "difficulty")

    def _one(self, options: list[str], gap: str, what: str) -> str:
        return self._draws.choice(options, self._about, gap, what)

    def _some(self, options: list[str], number: int, gap: str) -> list[str]:
        return self._draws.order(options, self._about, gap, "some")[:number]


def _context(task: GenerateQuestions) -> float:
    """Return how much context a gap has, from 0 to 1; gaps of one batch share theirs."""
    gaps = max(1, len(task.gaps))
    found = (len(task.similar_questions) / gaps, len(task.resources) / gaps)
    return sum(min(1.0, count / _FULL_CONTEXT) for count in found) / len(found)


def _resources(task: GenerateQuestions, gap: Gap) -> list[str]:
    """Return the resources to name for ``gap``: those that name its skill, or all if it is the only gap."""
    words = [word for word in gap.skill.casefold().split() if len(word) > 1]
    about = [title for title in task.resources if any(word in title.casefold() for word in words)]
    return about or (task.resources if len(task.gaps) == 1 else [])


def _filled(texts: list[str], skill: str) -> list[str]:
    return [text.replace("{skill}", skill) for text in texts]
