"""The line of a prompt that says what to do: a JSON object with a ``task``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Priority = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]
Language = Literal[
    "english", "german", "french", "spanish", "italian", "portuguese", "dutch", "turkish"
]
Rubric = Literal["standard", "advanced"]

_Id = Annotated[str, Meta(min_length=1, max_length=100)]
_Skill = Annotated[str, Meta(min_length=1, max_length=500)]


class Gap(msgspec.Struct, frozen=True):
    """A skill that a candidate has yet to show."""

    id: _Id
    skill: _Skill
    priority: Priority = "MEDIUM"
    description: str = ""


class Prompts(msgspec.Struct, frozen=True):
    """The deep-dive prompts of one gap."""

    id: _Id
    prompts: list[str]


class Item(msgspec.Struct, frozen=True):
    """A question to judge, with the candidate's answer where that is what is judged."""

    id: _Id
    skill: _Skill
    question: str
    priority: Priority = "MEDIUM"
    expected_points: list[str] = []
    answer: str | None = None


class Draft(msgspec.Struct, frozen=True):
    """A question to make better."""

    id: _Id
    skill: _Skill
    question: str
    priority: Priority = "MEDIUM"
    feedback: str = ""


# Each takes about 0.1 ms to write.
_SOME = Meta(min_length=1, max_length=50)
_Gaps = Annotated[list[Gap], _SOME]


class GenerateQuestions(msgspec.Struct, frozen=True, tag_field="task", tag="generate_questions"):
    """Write one question for each gap."""

    gaps: _Gaps
    language: Language = "english"
    similar_questions: list[str] = []
    resources: list[str] = []
    deep_dive_prompts: list[Prompts] = []


class DeepDivePrompts(msgspec.Struct, frozen=True, tag_field="task", tag="deep_dive_prompts"):
    """Write prompts that go deeper into each gap."""

    gaps: _Gaps
    language: Language = "english"


class EvaluateQuestions(msgspec.Struct, frozen=True, tag_field="task", tag="evaluate_questions"):
    """Judge questions, or answers to them."""

    items: Annotated[list[Item], _SOME]
    language: Language = "english"
    rubric: Rubric = "standard"


class RefineQuestions(msgspec.Struct, frozen=True, tag_field="task", tag="refine_questions"):
    """Write better questions."""

    items: Annotated[list[Draft], _SOME]
    language: Language = "english"


Task = GenerateQuestions | DeepDivePrompts | EvaluateQuestions | RefineQuestions


class _Named(msgspec.Struct):
    task: str


class TaskError(Exception):
    """A known task is described wrongly; the message says where."""


_named = msgspec.json.Decoder(_Named)
_task: msgspec.json.Decoder[Task] = msgspec.json.Decoder(Task)
_KNOWN = {
    "generate_questions", "deep_dive_prompts", "evaluate_questions", "refine_questions",
}  # fmt: skip


def find_task(messages: Sequence[tuple[str, str]]) -> Task | None:
    """Return the task that the last of ``messages`` to have one gives; raises ``TaskError``."""
    for role, text in reversed(messages):
        if role == "assistant" or '"task"' not in text:
            continue
        # Not splitlines: JSON's texts may hold what that takes for ends of lines, such as U+2028.
        for line in text.split("\n"):
            if '"task"' in line and line.lstrip().startswith("{") and _is_task(line):
                try:
                    return _task.decode(line)
                except msgspec.ValidationError as error:
                    raise TaskError(f"The task is described wrongly: {error}") from None
    return None


def _is_task(line: str) -> bool:
    try:
        return _named.decode(line).task in _KNOWN
    except msgspec.DecodeError:
        return False
