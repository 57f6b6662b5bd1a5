"""The task line of each call: a JSON object that any model can follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from adaptive_questions.domain.choices import Rubric
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.gap import Gap, Language


class _Task(msgspec.Struct, frozen=True, tag_field="task"):
    language: Language


class _Gap(msgspec.Struct, frozen=True):
    id: str
    skill: str
    priority: str
    description: str


class _Prompts(msgspec.Struct, frozen=True):
    id: str
    prompts: Sequence[str]


class _Generate(_Task, frozen=True, tag="generate_questions"):
    gaps: Sequence[_Gap]
    similar_questions: Sequence[str]
    resources: Sequence[str]
    deep_dive_prompts: Sequence[_Prompts]


class _DeepDive(_Task, frozen=True, tag="deep_dive_prompts"):
    gaps: Sequence[_Gap]


class _ToJudge(msgspec.Struct, frozen=True):
    id: str
    skill: str
    priority: str
    question: str
    expected_points: Sequence[str]
    answer: str | None


class _Evaluate(_Task, frozen=True, tag="evaluate_questions"):
    rubric: Rubric
    items: Sequence[_ToJudge]


class _ToRefine(msgspec.Struct, frozen=True):
    id: str
    skill: str
    priority: str
    question: str
    feedback: str


class _Refine(_Task, frozen=True, tag="refine_questions"):
    items: Sequence[_ToRefine]


def ids(count: int) -> list[str]:
    """Return the ids of a task's entries: the same for equal tasks."""
    return [f"g{number}" for number in range(1, count + 1)]


def generate_questions(
    gaps: Sequence[Gap],
    language: Language,
    *,
    similar_questions: Iterable[str],
    resources: Iterable[str],
    deep_dive_prompts: Sequence[Sequence[str]],
) -> str:
    """Return the task to write a question for each gap. Context is named once for all gaps."""
    named = zip(ids(len(gaps)), deep_dive_prompts, strict=False)
    return _line(
        _Generate(
            language=language,
            gaps=_gaps(gaps),
            similar_questions=list(dict.fromkeys(similar_questions)),
            resources=list(dict.fromkeys(resources)),
            deep_dive_prompts=[_Prompts(name, prompts) for name, prompts in named],
        )
    )


def deep_dive(gaps: Sequence[Gap], language: Language) -> str:
    """Return the task to write directions for a deeper conversation about each gap."""
    return _line(_DeepDive(language=language, gaps=_gaps(gaps)))


def evaluate_questions(
    drafts: Sequence[tuple[Gap, Draft]], language: Language, rubric: Rubric
) -> str:
    """Return the task to judge the drafts."""
    return _line(
        _Evaluate(
            language=language,
            rubric=rubric,
            items=[
                _ToJudge(
                    name,
                    gap.skill,
                    gap.priority,
                    draft.question.text,
                    draft.question.expected_points,
                    draft.answer,
                )
                for name, (gap, draft) in zip(ids(len(drafts)), drafts, strict=True)
            ],
        )
    )


def refine_questions(drafts: Sequence[tuple[Gap, Draft]], language: Language) -> str:
    """Return the task to write the drafts again, better, by the feedback that they got."""
    return _line(
        _Refine(
            language=language,
            items=[
                _ToRefine(name, gap.skill, gap.priority, draft.question.text, draft.judged.feedback)
                for name, (gap, draft) in zip(ids(len(drafts)), drafts, strict=True)
            ],
        )
    )


def _gaps(gaps: Sequence[Gap]) -> list[_Gap]:
    return [
        _Gap(name, gap.skill, gap.priority, gap.description)
        for name, gap in zip(ids(len(gaps)), gaps, strict=True)
    ]


def _line(task: _Task) -> str:
    return msgspec.json.encode(task).decode()
