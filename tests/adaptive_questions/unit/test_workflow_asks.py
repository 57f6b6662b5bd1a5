from __future__ import annotations

from dataclasses import replace

import pytest

from adaptive_questions.domain.ask import asks, groups
from adaptive_questions.domain.background import background
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Brief, Gap, Language, Priority
from adaptive_questions.domain.skill import normalized

BRIEF = Brief({"name": "A", "years": 3}, {"title": "B"})
GAP = Gap("Kubernetes", Priority.HIGH, "no cluster yet")
CHOICES = Choices()


def key(
    gap: Gap = GAP,
    brief: Brief = BRIEF,
    choices: Choices = CHOICES,
) -> str:
    [ask] = asks([gap], background(brief), brief.language, choices)
    return ask.key


def test_skills_are_equal_whatever_their_case_and_spaces() -> None:
    assert normalized("  Site  Reliability\tEngineering ") == "site reliability engineering"
    assert key(replace(GAP, skill=" KUBERNETES ")) == key()
    assert key(replace(GAP, description="No  cluster yet")) == key()


def test_the_order_of_keys_in_a_cv_makes_no_difference() -> None:
    turned = replace(BRIEF, parsed_cv={"years": 3, "name": "A"})

    assert background(turned) == background(BRIEF)
    assert key(brief=turned) == key()


@pytest.mark.parametrize(
    "other",
    [
        key(replace(GAP, skill="Helm")),
        key(replace(GAP, priority=Priority.LOW)),
        key(replace(GAP, description="")),
        key(brief=replace(BRIEF, parsed_cv={"name": "A", "years": 4})),
        key(brief=replace(BRIEF, parsed_jd={"title": "C"})),
        key(brief=replace(BRIEF, language=Language.TURKISH)),
        key(choices=Choices(model="gemini-2.0-flash-lite")),
        key(choices=Choices(embedding_model="text-embedding-005")),
        key(choices=Choices(rag_threshold=0.6)),
        key(choices=Choices(dynamic_thresholds=False)),
        key(choices=Choices(cards=True)),
        key(choices=Choices(advanced_evaluation=True)),
    ],
    ids=[
        "skill", "priority", "description", "cv", "position", "language", "model",
        "embedding model", "rag threshold", "thresholds", "cards", "rubric",
    ],
)  # fmt: skip
def test_whatever_shapes_an_answer_makes_another_key(other: str) -> None:
    assert other != key()


def test_what_only_changes_the_way_to_an_answer_makes_no_other_key() -> None:
    otherwise = Choices(stable_prefix=False, shared_calls=False, parallel_searches=False)

    assert key(choices=otherwise) == key()


def test_fields_do_not_run_into_one_another() -> None:
    assert key(Gap("a", Priority.LOW, "b c")) != key(Gap("a b", Priority.LOW, "c"))


def test_thresholds_go_by_priority_only_where_they_are_dynamic() -> None:
    gaps = [Gap("x", priority) for priority in Priority]
    about = background(BRIEF)

    dynamic = asks(gaps, about, Language.ENGLISH, Choices())
    fixed = asks(gaps, about, Language.ENGLISH, Choices(dynamic_thresholds=False))

    assert [each.threshold for each in dynamic] == [7.5, 7.0, 6.0, 5.5]
    assert [each.threshold for each in fixed] == [7.0] * 4


def test_gaps_of_equal_priority_share_a_run_of_up_to_five() -> None:
    gaps = [Gap(f"skill {n}", Priority.LOW if n % 4 else Priority.CRITICAL) for n in range(14)]
    asked = asks(gaps, background(BRIEF), Language.ENGLISH, CHOICES)

    shared = [[ask.gap.skill for ask in group] for group in groups(asked, shared=True)]

    assert shared == [
        ["skill 0", "skill 4", "skill 8", "skill 12"],
        ["skill 1", "skill 2", "skill 3", "skill 5", "skill 6"],
        ["skill 7", "skill 9", "skill 10", "skill 11", "skill 13"],
    ]
    assert groups(asked, shared=False) == [[ask] for ask in asked]
    assert groups([], shared=True) == []
