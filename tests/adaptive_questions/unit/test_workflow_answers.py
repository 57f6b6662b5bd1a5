from __future__ import annotations

from adaptive_questions.domain.answer import Answer, given
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.gap import Gap, Priority
from adaptive_questions.domain.result import Evaluation, Question, Resource

QUESTION = Question("Why?", "hard", ("a reason", "a trade-off"), "And then?")


def evaluation(score: float) -> Evaluation:
    return Evaluation(score, {}, "", threshold=7.0, accepted=score >= 7.0)


def test_a_draft_is_refined_once_and_only_below_its_threshold() -> None:
    weak = Draft(QUESTION, evaluation(6.9))

    assert weak.to_refine
    assert not Draft(QUESTION, evaluation(7.0)).to_refine
    assert not Draft(QUESTION).to_refine
    assert not Draft(QUESTION, evaluation(3.0), former=weak).to_refine


def test_the_better_of_a_draft_and_its_former_is_given() -> None:
    first = Draft(QUESTION, evaluation(6.0))
    better, worse = (Draft(QUESTION, evaluation(score), former=first) for score in (6.0, 5.9))

    assert better.best is better
    assert worse.best is first
    assert first.best is first


def test_cards_show_the_question_and_what_belongs_to_it() -> None:
    book = Resource("Kubernetes: Up and Running", "book", 0.8)
    answer = Answer(QUESTION, evaluation(8.0), False, (), (), (book,), "a model")
    gap = Gap("Kubernetes", Priority.LOW)

    with_cards = given(answer, gap, served="l1", cards=True)
    without = given(answer, gap, served="l1", cards=False)

    assert with_cards.cards == (
        {"kind": "question", "title": "Kubernetes", "text": "Why?"},
        {"kind": "follow_up", "title": "hard", "text": "And then?"},
        {"kind": "expected", "title": "Kubernetes", "text": "a reason"},
        {"kind": "expected", "title": "Kubernetes", "text": "a trade-off"},
        {"kind": "resource", "title": "book", "text": "Kubernetes: Up and Running"},
    )
    assert without.cards is None
    assert (without.gap, without.served, without.question) == (gap, "l1", QUESTION)
