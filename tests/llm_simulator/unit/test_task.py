from __future__ import annotations

import pytest

from llm_simulator.answers.task import (
    DeepDivePrompts,
    EvaluateQuestions,
    Gap,
    GenerateQuestions,
    RefineQuestions,
    TaskError,
    find_task,
)

GAPS = '"gaps": [{"id": "g1", "skill": "Go", "priority": "HIGH"}]'
GENERATE = f'{{"task": "generate_questions", {GAPS}}}'


def test_task_is_a_line_among_others() -> None:
    text = f"Please do this:\n  {GENERATE}  \nThank you."

    assert find_task([("user", text)]) == GenerateQuestions([Gap("g1", "Go", "HIGH")])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (GENERATE, GenerateQuestions),
        (f'{{"language": "turkish", "task": "deep_dive_prompts", {GAPS}}}', DeepDivePrompts),
        (
            '{"task": "evaluate_questions", "rubric": "advanced", "items": [QUESTION]}',
            EvaluateQuestions,
        ),
        (
            '{"task": "refine_questions", "items": [QUESTION]}',
            RefineQuestions,
        ),
    ],
)
def test_every_task_is_known_wherever_it_stands(line: str, kind: type) -> None:
    line = line.replace("QUESTION", '{"id": "g1", "skill": "Go", "question": "Why?"}')
    first = [("user", line), ("system", "You help interviewers."), ("user", "The CV: none.")]

    assert type(find_task(first)) is kind
    assert type(find_task(first[::-1])) is kind


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"], ids=ascii)
def test_line_ends_only_where_json_must(end: str) -> None:
    skill = f"Go{end}and more"

    found = find_task([("user", f"Do this:\r\n{GENERATE.replace('Go', skill)}\r\nThank you.")])

    assert found == GenerateQuestions([Gap("g1", skill, "HIGH")])


def test_last_task_counts_and_answers_do_not() -> None:
    later = GENERATE.replace("Go", "Rust")
    messages = [("user", GENERATE), ("assistant", GENERATE.replace("Go", "C")), ("user", later)]

    found = find_task(messages)

    assert isinstance(found, GenerateQuestions)
    assert found.gaps[0].skill == "Rust"


@pytest.mark.parametrize(
    "text",
    [
        "What is a task?",
        '{"task": "summarise", "text": "..."}',
        '{"task": 7}',
        '{"task": "generate_questions", "gaps": [',
        f"[{GENERATE}]",
        '"task"',
        "",
    ],
)
def test_anything_else_is_no_task(text: str) -> None:
    assert find_task([("user", text)]) is None


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('{"task": "generate_questions"}', "gaps"),
        ('{"task": "generate_questions", "gaps": []}', r"\$\.gaps"),
        (GENERATE.replace("HIGH", "high"), r"\$\.gaps\[0\]\.priority"),
        (GENERATE[:-1] + ', "language": "klingon"}', r"\$\.language"),
        ('{"task": "evaluate_questions", "items": [{"id": "1"}]}', "skill"),
    ],
)
def test_known_task_that_is_described_wrongly_is_refused_with_the_place(
    line: str, place: str
) -> None:
    with pytest.raises(TaskError, match=place):
        find_task([("user", line)])
