"""Scores: what raises them, and how they are spread over what the models write."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import pytest

from llm_simulator.answers.judge import WEIGHTS, question_worth
from llm_simulator.answers.phrases import LANGUAGES
from llm_simulator.answers.task import (
    Draft,
    EvaluateQuestions,
    Gap,
    GenerateQuestions,
    Item,
    Language,
    RefineQuestions,
    Rubric,
)
from tests.llm_simulator.unit.answering import EXP, LITE, asked

MANY = 400
CONTEXT = (["a", "b", "c"], ["A book", "A course", "A talk"])


def judged(question: Any, rubric: Rubric = "standard", language: Language = "english") -> Any:
    item = Item("g1", "Kubernetes", question["question"], "HIGH", question["expected_points"])
    return asked(EvaluateQuestions([item], language, rubric))[0]["evaluations"][0]


def written(number: int, *, model: str = EXP, drop: float = 0.0, context: bool = True) -> Any:
    similar, resources = CONTEXT if context else ([], [])
    task = GenerateQuestions([Gap("g1", "Kubernetes", "HIGH")], "english", similar, resources)
    return asked(task, number, model=model, quality_drop=drop)[0]["questions"][0]


def scores(**how: Any) -> list[float]:
    return [judged(written(number, **how))["score"] for number in range(MANY)]


def test_first_scores_are_spread_around_seven() -> None:
    found = scores()

    assert 7.0 < fmean(found) < 7.4
    assert 0.6 < stdev(found) < 0.95
    assert 0.2 < sum(score < 7.0 for score in found) / MANY < 0.5


def test_lite_model_missing_context_and_dropped_quality_cost_points() -> None:
    whole = fmean(scores())

    assert 0.2 < whole - fmean(scores(model=LITE)) < 0.6
    assert 0.2 < whole - fmean(scores(context=False)) < 0.6
    assert whole - fmean(scores(drop=0.5)) > 0.9
    assert fmean(scores(drop=1.0)) < 5.0


def test_refining_what_was_below_seven_gains_about_a_point() -> None:
    gains = []
    for number in range(MANY):
        first = written(number)
        before = judged(first)
        if before["score"] < 7.0:
            draft = Draft("g1", "Kubernetes", first["question"], "HIGH", before["feedback"])
            refined = asked(RefineQuestions([draft]), number)[0]["questions"][0]
            gains.append(judged(refined)["score"] - before["score"])

    assert 0.7 < fmean(gains) < 1.3


def test_advanced_rubric_is_stricter_and_less_moody() -> None:
    questions = [written(number) for number in range(MANY)]
    standard = [judged(question)["score"] for question in questions]
    advanced = [judged(question, "advanced")["score"] for question in questions]

    assert fmean(standard) - fmean(advanced) == pytest.approx(0.3, abs=0.05)
    assert stdev(advanced) < stdev(standard)


def test_judgement_has_its_criteria_and_a_score_about_their_mean() -> None:
    question = written(3)

    standard, advanced = judged(question), judged(question, "advanced")

    assert list(standard) == list(advanced) == ["id", "score", "criteria", "feedback"]
    assert list(standard["criteria"]) == ["relevance", "clarity", "depth"]
    assert list(advanced["criteria"]) == [*standard["criteria"], "fairness", "specificity"]
    for judgement in (standard, advanced):
        assert fmean(judgement["criteria"].values()) == pytest.approx(judgement["score"], abs=0.15)
    assert len(advanced["feedback"]) > len(standard["feedback"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_judgements_are_as_long_as_real_ones(language: Language) -> None:
    task = [Item("g1", "Kubernetes", "What is Kubernetes?", "HIGH", ["a", "b", "c"])]
    standard = [asked(EvaluateQuestions(task, language), n)[1].tokens for n in range(5)]
    advanced = [asked(EvaluateQuestions(task, language, "advanced"), n)[1].tokens for n in range(5)]

    assert 40 <= fmean(standard) <= 70
    assert fmean(standard) < fmean(advanced) <= 110


def test_each_thing_that_a_good_question_has_raises_its_worth() -> None:
    bare = question_worth(frozenset(), is_named=False, points=0)

    assert question_worth(frozenset(), is_named=True, points=0) > bare
    assert question_worth(frozenset(), is_named=False, points=4) > bare
    for feature in WEIGHTS:
        assert question_worth({feature}, is_named=False, points=0) > bare


def test_same_question_has_the_same_score_from_every_model_and_in_every_batch() -> None:
    item = Item("g1", "Kubernetes", "What is Kubernetes?", "HIGH", ["a", "b"])
    other = Item("g2", "Go", "What is Go?", "HIGH", [])

    alone = asked(EvaluateQuestions([item]))[0]["evaluations"][0]
    among = asked(EvaluateQuestions([other, item]), 7, model=LITE)[0]["evaluations"][1]

    assert alone == among


def test_candidate_s_answer_is_judged_by_what_it_says() -> None:
    good = (
        "We moved to Kubernetes because our releases took 3 hours. For example, a rollback needed"
        " a person at night. As a result of the move it takes 5 minutes, so that nobody stays up."
        " It was hard to size the pods, therefore we measured memory for two weeks first."
    )
    weak, strong = (
        asked(
            EvaluateQuestions(
                [Item("g1", "Kubernetes", "Why?", "HIGH", ["gives reasons for a decision"], text)]
            )
        )[0]["evaluations"][0]
        for text in ("I know it well.", good)
    )

    assert weak["score"] < 5 < 6 < strong["score"] <= 10
    assert weak["feedback"] != strong["feedback"]
