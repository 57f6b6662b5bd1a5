"""The answer to an ask, whoever asked: what the caches keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaptive_questions.domain.gap import Gap
from adaptive_questions.domain.result import Evaluation, GapAnswer, Question, Resource, Served


@dataclass(frozen=True, slots=True)
class Answer:
    """A ``GapAnswer`` without what belongs to the request: its gap and the way it was served."""

    question: Question
    evaluation: Evaluation
    refined: bool
    deep_dive_prompts: tuple[str, ...]
    similar_questions: tuple[str, ...]
    resources: tuple[Resource, ...]
    model: str


def given(answer: Answer, gap: Gap, *, served: Served, cards: bool) -> GapAnswer:
    """Return ``answer`` as the answer to ``gap``."""
    return GapAnswer(
        gap=gap,
        question=answer.question,
        evaluation=answer.evaluation,
        refined=answer.refined,
        deep_dive_prompts=answer.deep_dive_prompts,
        similar_questions=answer.similar_questions,
        resources=answer.resources,
        model=answer.model,
        served=served,
        cards=_cards(answer, gap) if cards else None,
    )


def _cards(answer: Answer, gap: Gap) -> tuple[Mapping[str, str], ...]:
    question = answer.question
    return (
        {"kind": "question", "title": gap.skill, "text": question.text},
        {"kind": "follow_up", "title": question.difficulty, "text": question.follow_up},
        *(
            {"kind": "expected", "title": gap.skill, "text": text}
            for text in question.expected_points
        ),
        *(
            {"kind": "resource", "title": each.kind, "text": each.title}
            for each in answer.resources
        ),
    )
