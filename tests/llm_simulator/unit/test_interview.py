"""Questions, deep-dive prompts and refinements: their form, their language, their length."""

from __future__ import annotations

from statistics import fmean

import pytest

from llm_simulator.answers.phrases import LANGUAGES, features_of
from llm_simulator.answers.task import (
    DeepDivePrompts,
    Draft,
    Gap,
    GenerateQuestions,
    Language,
    Prompts,
    RefineQuestions,
)
from tests.llm_simulator.unit.answering import EXP, LITE, asked

SKILLS = ("Kubernetes", "stakeholder management", "C++", "PostgreSQL", "leadership")
SIMILAR = ["a question", "another one", "a third"]
RESOURCES = ["A book", "A course", "A talk"]


def generating(
    number: int, language: Language = "english", *, context: bool = True
) -> GenerateQuestions:
    gap = Gap("g1", SKILLS[number % len(SKILLS)], "HIGH")
    if not context:
        return GenerateQuestions([gap], language)
    return GenerateQuestions([gap], language, SIMILAR, RESOURCES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_question_has_its_form_and_names_the_skill(language: Language) -> None:
    for number in range(40):
        answer, _ = asked(generating(number, language), number)

        (question,) = answer["questions"]
        assert list(question) == [
            "id", "skill", "question", "difficulty", "expected_points", "follow_up",
        ]  # fmt: skip
        assert (question["id"], question["skill"]) == ("g1", SKILLS[number % 5])
        assert question["skill"] in question["question"]
        assert question["difficulty"] in {"easy", "medium", "hard"}
        assert 3 <= len(set(question["expected_points"])) <= 4
        assert "{" not in str(list(question.values()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_are_as_long_as_real_ones_and_vary(language: Language) -> None:
    replies = [asked(generating(number, language), number) for number in range(60)]

    lengths = [reply.tokens for _, reply in replies]
    texts = {answer["questions"][0]["question"] for answer, _ in replies}

    assert 60 <= fmean(lengths) <= 130
    assert max(lengths) < 170
    assert len(texts) > 50


def test_every_gap_gets_its_own_question() -> None:
    gaps = [Gap(f"g{index}", skill, "MEDIUM") for index, skill in enumerate(SKILLS)]

    answer, _ = asked(GenerateQuestions(gaps))

    assert [(q["id"], q["skill"]) for q in answer["questions"]] == [(g.id, g.skill) for g in gaps]
    assert len({q["question"] for q in answer["questions"]}) == len(gaps)


def test_question_builds_on_the_resources_and_the_deep_dive_prompts_that_it_is_given() -> None:
    prompts = [Prompts("g1", ["Which pod failed last, and why?"])]
    answers = [
        asked(
            GenerateQuestions([Gap("g1", "Kubernetes")], "english", SIMILAR, RESOURCES, prompts), n
        )
        for n in range(60)
    ]

    questions = [answer["questions"][0] for answer, _ in answers]

    assert {q["follow_up"] for q in questions} == {"Which pod failed last, and why?"}
    named = [any(f'"{title}"' in q["question"] for title in RESOURCES) for q in questions]
    assert 15 < sum(named) < 50


def test_gap_of_a_batch_names_only_resources_about_its_skill() -> None:
    gaps = [Gap("g1", "Kubernetes"), Gap("g2", "leadership")]
    titles = ["Kubernetes: Up and Running", "Drive"]

    for number in range(40):
        answer, _ = asked(GenerateQuestions(gaps, "english", SIMILAR, titles), number)
        first, second = (question["question"] for question in answer["questions"])
        assert "Drive" not in first
        assert not any(title in second for title in titles)


def features(number: int, **how: object) -> int:
    model, drop = str(how.get("model", EXP)), float(str(how.get("drop", 0)))
    task = generating(number, context=bool(how.get("context", True)))
    answer, _ = asked(task, number, model=model, quality_drop=drop)
    return len(features_of(answer["questions"][0]["question"]))


def test_better_model_and_more_context_put_more_into_a_question() -> None:
    numbers = range(300)

    with_context = fmean(features(number) for number in numbers)
    without = fmean(features(number, context=False) for number in numbers)
    lite = fmean(features(number, model=LITE) for number in numbers)
    dropped = fmean(features(number, drop=0.5) for number in numbers)

    assert with_context > without + 0.3
    assert with_context > lite + 0.3
    assert with_context > dropped + 0.8


def test_drop_of_quality_leaves_out_the_skill_itself() -> None:
    answers = [asked(generating(number), number, quality_drop=1.0)[0] for number in range(20)]

    questions = [answer["questions"][0] for answer in answers]

    assert [q for q in questions if q["skill"] in q["question"]] == []
    assert [q for q in questions if features_of(q["question"])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_deep_dive_has_three_prompts_for_each_gap(language: Language) -> None:
    lengths = []
    for number in range(20):
        gap = Gap("g7", SKILLS[number % 5], "LOW")
        answer, reply = asked(DeepDivePrompts([gap], language), number)

        (entry,) = answer["prompts"]
        assert entry["id"] == "g7"
        assert len(set(entry["prompts"])) == 3
        assert all(gap.skill in prompt for prompt in entry["prompts"])
        lengths.append(reply.tokens)

    assert 40 <= fmean(lengths) <= 80


@pytest.mark.parametrize("language", LANGUAGES)
def test_refined_question_keeps_what_it_was_and_gains(language: Language) -> None:
    gained = []
    for number in range(40):
        first = asked(generating(number, language), number)[0]["questions"][0]
        draft = Draft("g1", first["skill"], first["question"], "HIGH", "Add a situation.")
        refined = asked(RefineQuestions([draft], language), number)[0]["questions"][0]

        assert list(refined) == list(first)
        assert first["question"] in refined["question"]
        before, after = features_of(first["question"]), features_of(refined["question"])
        assert before <= after
        gained.append(len(after) - len(before))

    assert fmean(gained) > 0.5


def test_refining_a_vague_question_names_the_skill() -> None:
    draft = Draft("g1", "Kubernetes", "How do you usually work?")

    answer, _ = asked(RefineQuestions([draft]))

    assert "Kubernetes" in answer["questions"][0]["question"]
