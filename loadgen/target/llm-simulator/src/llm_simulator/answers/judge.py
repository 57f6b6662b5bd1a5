"""Judgements of questions, and of answers to them, by what stands in their text."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from llm_simulator.answers.phrases import FEATURES, Feature, Phrases, features_of, phrases, reasons
from llm_simulator.answers.task import EvaluateQuestions, Item, Rubric
from llm_simulator.domain.draw import Draws

# A question that says nothing at all, and what each thing adds that a good one has.
BASE = 4.65
NAMED = 0.9
POINTS = 0.3
WEIGHTS: Mapping[Feature, float] = {
    "context": 0.6, "scenario": 0.7, "tradeoffs": 0.6, "measure": 0.6,
}  # fmt: skip
# The standard deviation of a judge's mood, and by how much the advanced rubric is stricter.
NOISE = 0.45
ADVANCED_NOISE = 0.22
ADVANCED_STRICTNESS = 0.3
MANY_POINTS = 4

_CRITERIA: Mapping[Rubric, tuple[str, ...]] = {
    "standard": ("relevance", "clarity", "depth"),
    "advanced": ("relevance", "clarity", "depth", "fairness", "specificity"),
}
_SPREAD = 0.35


class Judge:
    """Judges by seed and text alone: the same question gets the same score from every model."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def evaluate(self, task: EvaluateQuestions) -> dict[str, Any]:
        """Return a judgement for each item."""
        words = phrases(task.language)
        return {"evaluations": [self._judge(words, item, task.rubric) for item in task.items]}

    def _judge(self, words: Phrases, item: Item, rubric: Rubric) -> dict[str, Any]:
        found = features_of(item.question)
        is_named = item.skill.casefold() in item.question.casefold()
        text = item.question if item.answer is None else item.answer
        if item.answer is None:
            worth = question_worth(found, is_named=is_named, points=len(item.expected_points))
        else:
            worth = answer_worth(item.answer, item)
        mood = self._draws.normal("mood", text)
        advanced = rubric == "advanced"
        score = worth + mood * (ADVANCED_NOISE if advanced else NOISE)
        score = _bounded(score - (ADVANCED_STRICTNESS if advanced else 0))
        if item.answer is None:
            feedback = self._feedback(words, text, found, is_named=is_named)
        else:
            grade = min(int(score / 10 * len(words.on_answer)), len(words.on_answer) - 1)
            feedback = words.on_answer[grade]
        if advanced:
            feedback = f"{feedback} {self._draws.choice(words.advanced, 'advanced', text)}"
        return {
            "id": item.id,
            "score": score,
            "criteria": self._criteria(text, score, rubric),
            "feedback": feedback.replace("{skill}", item.skill),
        }

    def _feedback(self, words: Phrases, text: str, found: Set[Feature], *, is_named: bool) -> str:
        missing = [name for name in FEATURES if name not in found]
        if missing:
            name = self._draws.choice(missing, "missing", text)
            second = self._draws.choice(words.advice.of(name), "advice", text)
        else:
            second = self._draws.choice(words.fine, "fine", text)
        first = self._draws.choice(words.praise if is_named else words.vague, "praise", text)
        return f"{first} {second}"

    def _criteria(self, text: str, score: float, rubric: Rubric) -> dict[str, float]:
        """Return criteria around the score: their mean is about the score."""
        names = _CRITERIA[rubric]
        moods = [self._draws.normal(name, text) * _SPREAD for name in names]
        middle = sum(moods) / len(moods)
        return {
            name: _bounded(score + mood - middle) for name, mood in zip(names, moods, strict=True)
        }


def question_worth(found: Set[Feature], *, is_named: bool, points: int) -> float:
    """Return what a question is worth, before any mood."""
    return (
        BASE
        + sum(WEIGHTS[feature] for feature in found)
        + (NAMED if is_named else 0)
        + (POINTS if points >= MANY_POINTS else 0)
    )


def answer_worth(answer: str, item: Item) -> float:
    """Return what a candidate's answer is worth: its length up to a page, reasons, numbers, what was expected."""
    text = answer.casefold()
    long_words = {word for point in item.expected_points for word in point.split() if len(word) > 4}
    hits = sum(word.casefold() in text for word in long_words)
    return (
        3.0
        + min(len(text.split()) / 40, 2.5)
        + (1.0 if any(letter.isdecimal() for letter in text) else 0.0)
        + min(len(reasons().findall(text)) * 0.4, 1.2)
        + (0.5 if item.skill.casefold() in text else 0.0)
        + min(hits * 0.2, 1.0)
    )


def _bounded(score: float) -> float:
    return round(min(10.0, max(0.0, score)), 1)
