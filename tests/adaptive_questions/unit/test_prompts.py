from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import msgspec
import pytest

from adaptive_questions.domain.background import background
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.gap import Brief, Gap, Language, Priority
from adaptive_questions.domain.result import BadAnswerError, Evaluation, Question
from adaptive_questions.prompts import forms, tasks
from adaptive_questions.prompts.messages import INSTRUCTIONS, messages
from llm_simulator import tokens

BACKGROUND = background(Brief({"task": "none", "name": "A\nB"}, {"title": "C"}))
GAPS = [Gap("Kubernetes", Priority.HIGH, "no\ncluster"), Gap("SQL", Priority.LOW)]
FOUND = Evaluation(5.0, {}, "Ask for a situation.", 7.0, accepted=False)
DRAFT = Draft(Question("Why?", "easy", ("a reason",), "And then?"), FOUND)
QUESTION = {
    "id": "g1",
    "skill": "SQL",
    "question": "Why?",
    "difficulty": "easy",
    "expected_points": ["a reason"],
    "follow_up": "And then?",
}
JUDGEMENT: Mapping[str, Any] = {
    "id": "g1",
    "score": 7,
    "criteria": {"relevance": 7, "clarity": 6.5, "depth": 10},
    "feedback": "",
}


def generation() -> str:
    return tasks.generate_questions(
        GAPS,
        Language.GERMAN,
        similar_questions=["a", "b", "a"],
        resources=["r"],
        deep_dive_prompts=[("x", "y"), ("z",)],
    )


def test_the_instructions_are_long_enough_for_providers_to_cache_them() -> None:
    # OpenAI and others begin at 1,024 tokens.
    assert tokens.count(INSTRUCTIONS) > 1_100


def test_a_stable_prefix_begins_with_what_all_calls_share_and_ends_with_the_task() -> None:
    stable = messages("the task", BACKGROUND, stable_prefix=True)
    other = messages("the task", BACKGROUND, stable_prefix=False)

    assert [each["content"] for each in stable] == [INSTRUCTIONS, BACKGROUND.text, "the task"]
    assert [each["content"] for each in other] == ["the task", BACKGROUND.text, INSTRUCTIONS]


def test_only_the_task_is_a_line_of_json() -> None:
    whole = messages(generation(), BACKGROUND, stable_prefix=True)

    lines = [line for each in whole for line in str(each["content"]).splitlines()]
    assert [line for line in lines if line.startswith("{")] == [generation()]


def test_equal_work_has_an_equal_prompt() -> None:
    turned = background(Brief({"name": "A\nB", "task": "none"}, {"title": "C"}))

    assert messages(generation(), turned, stable_prefix=True) == messages(
        generation(), BACKGROUND, stable_prefix=True
    )


def test_the_task_to_generate_names_each_gap_and_each_piece_of_context_once() -> None:
    assert msgspec.json.decode(generation()) == {
        "task": "generate_questions",
        "language": "german",
        "gaps": [
            {"id": "g1", "skill": "Kubernetes", "priority": "HIGH", "description": "no\ncluster"},
            {"id": "g2", "skill": "SQL", "priority": "LOW", "description": ""},
        ],
        "similar_questions": ["a", "b"],
        "resources": ["r"],
        "deep_dive_prompts": [{"id": "g1", "prompts": ["x", "y"]}, {"id": "g2", "prompts": ["z"]}],
    }


def test_the_other_tasks_say_what_they_are_about() -> None:
    pairs = [(GAPS[1], DRAFT)]

    deep_dive = msgspec.json.decode(tasks.deep_dive(GAPS, Language.DUTCH))
    evaluation = msgspec.json.decode(tasks.evaluate_questions(pairs, Language.DUTCH, "advanced"))
    refinement = msgspec.json.decode(tasks.refine_questions(pairs, Language.DUTCH))

    about = {"id": "g1", "skill": "SQL", "priority": "LOW", "question": "Why?"}
    assert (deep_dive["task"], len(deep_dive["gaps"])) == ("deep_dive_prompts", 2)
    assert evaluation == {
        "task": "evaluate_questions",
        "language": "dutch",
        "rubric": "advanced",
        "items": [{**about, "expected_points": ["a reason"], "answer": None}],
    }
    assert refinement == {
        "task": "refine_questions",
        "language": "dutch",
        "items": [{**about, "feedback": "Ask for a situation."}],
    }


@pytest.mark.parametrize(
    ("form", "right"),
    [
        (forms.QUESTIONS, {"questions": [QUESTION]}),
        (forms.PROMPTS, {"prompts": [{"id": "g1", "prompts": ["x"]}]}),
        (forms.EVALUATIONS["standard"], {"evaluations": [JUDGEMENT]}),
        (
            forms.EVALUATIONS["advanced"],
            {
                "evaluations": [
                    {
                        **JUDGEMENT,
                        "criteria": {**JUDGEMENT["criteria"], "fairness": 0, "specificity": 3},
                    }
                ]
            },
        ),
    ],
    ids=["questions", "prompts", "standard", "advanced"],
)
def test_the_form_that_is_asked_for_is_the_form_that_is_read(
    form: forms.Form[Any], right: Mapping[str, Any]
) -> None:
    schema: Any = form.response_format["json_schema"]["schema"]

    jsonschema.validate(right, schema)
    [part] = form.read(msgspec.json.encode(right).decode(), ["g1"])

    assert part.id == "g1"
    assert form.response_format["json_schema"]["strict"] is True
    assert all(
        definition["additionalProperties"] is False
        and set(definition["required"]) == set(definition["properties"])
        for definition in [schema, *schema["$defs"].values()]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Here you are: {}",
        "[]",
        '{"questions": null}',
        '{"evaluations": []}',
        '{"questions": [], "evaluations": []}',
        {"questions": []},
        {"questions": [QUESTION, QUESTION]},
        {"questions": [{**QUESTION, "id": "g2"}]},
        {"questions": [{**QUESTION, "question": " "}]},
        {"questions": [{**QUESTION, "difficulty": "brutal"}]},
        {"questions": [{**QUESTION, "comment": "!"}]},
        {"questions": [{k: v for k, v in QUESTION.items() if k != "follow_up"}]},
    ],
)
def test_what_is_not_of_the_form_is_refused(wrong: object) -> None:
    text = wrong if isinstance(wrong, str) else msgspec.json.encode(wrong).decode()

    with pytest.raises(BadAnswerError):
        forms.QUESTIONS.read(text, ["g1"])


@pytest.mark.parametrize("score", [-0.1, 10.1, "7", None, True])
def test_a_score_is_a_number_from_0_to_10(score: object) -> None:
    text = msgspec.json.encode({"evaluations": [{**JUDGEMENT, "score": score}]}).decode()

    with pytest.raises(BadAnswerError):
        forms.EVALUATIONS["standard"].read(text, ["g1"])


def test_parts_come_in_the_order_of_the_task() -> None:
    turned = {"prompts": [{"id": "g2", "prompts": []}, {"id": "g1", "prompts": ["x"]}]}

    parts = forms.PROMPTS.read(msgspec.json.encode(turned).decode(), ["g1", "g2"])

    assert [part.id for part in parts] == ["g1", "g2"]
