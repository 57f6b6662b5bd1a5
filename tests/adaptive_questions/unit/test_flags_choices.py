from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from adaptive_questions.choices import FLAGS_FILE, Chooser
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Asker, Priority
from tests.adaptive_questions.core_fixtures import FLAGS
from windsock.testing import Captured, capture, flags

USER = Asker("user-1", "session-1")
LEFT_TO_FLAGS = Chooser(model=None, embedding_model=None)
SPLIT = {
    "type": "boolean",
    "variants": {"on": True, "off": False},
    "fallthrough": {"split": {"on": 50, "off": 50}},
}


@pytest.fixture(autouse=True)
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


def in_file(path: Path) -> dict[str, dict[str, object]]:
    listed = msgspec.json.decode(path.read_bytes())["flags"]
    return {flag["key"]: flag for flag in listed}


def test_the_packages_flags_split_users_in_halves() -> None:
    drawn: dict[str, Counter[str]] = {key: Counter() for key in FLAGS}
    with flags(in_file(FLAGS_FILE)):
        for number in range(400):
            variants = LEFT_TO_FLAGS.choose(Asker(f"user-{number}")).variants
            for key in FLAGS:
                drawn[key][variants[key]] += 1

    # Four standard deviations of a fair draw.
    assert {key: len(shares) for key, shares in drawn.items()} == dict.fromkeys(FLAGS, 2)
    assert all(160 < count < 240 for shares in drawn.values() for count in shares.values())


def test_without_a_user_or_without_flags_the_same_holds() -> None:
    with flags(in_file(FLAGS_FILE)):
        nobody = LEFT_TO_FLAGS.choose(Asker())
    with flags({}):
        without = LEFT_TO_FLAGS.choose(USER)

    assert nobody == without == Choices()


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("use_prompt_cache_optimizer", False, {"stable_prefix": False}),
        ("use_batch_generation", False, {"shared_calls": False}),
        ("dynamic_quality_thresholds", False, {"dynamic_thresholds": False}),
        ("parallel_rag_searches", False, {"parallel_searches": False}),
        ("experimental_llm_model", "gemini-2.0-flash-lite", {"model": "gemini-2.0-flash-lite"}),
        (
            "experimental_embedding_model",
            "text-embedding-005",
            {"embedding_model": "text-embedding-005"},
        ),
        ("experimental_rag_threshold", 0.6, {"rag_threshold": 0.6}),
        ("new_ui_dashboard", True, {"cards": True}),
        ("advanced_quality_evaluation", True, {"advanced_evaluation": True}),
    ],
)
def test_each_flag_decides_one_thing(key: str, value: object, changed: dict[str, object]) -> None:
    with flags({**FLAGS, key: value}):
        choices = LEFT_TO_FLAGS.choose(USER)

    expected = {each.name: getattr(Choices(), each.name) for each in fields(Choices)} | changed
    assert {each.name: getattr(choices, each.name) for each in fields(Choices)} == {
        **expected,
        "variants": choices.variants,
    }
    assert set(choices.variants) == set(FLAGS)


def test_a_model_that_is_configured_is_not_left_to_its_flag() -> None:
    chooser = Chooser(model="gpt-4o-mini", embedding_model="text-embedding-3-small")

    with flags(FLAGS):
        choices = chooser.choose(USER)

    assert (choices.model, choices.embedding_model) == ("gpt-4o-mini", "text-embedding-3-small")
    assert chooser.embedding_models == ("text-embedding-3-small",)
    assert set(FLAGS) - set(choices.variants) == {
        "experimental_llm_model",
        "experimental_embedding_model",
    }


def test_a_flag_of_another_type_leaves_the_default() -> None:
    with flags({**FLAGS, "experimental_rag_threshold": "low"}):
        choices = LEFT_TO_FLAGS.choose(USER)

    assert choices.rag_threshold == 0.7
    assert "experimental_rag_threshold" not in choices.variants


def test_a_user_keeps_a_variant_and_is_recorded_as_having_seen_it(captured: Captured) -> None:
    askers = [Asker(f"user-{n}", f"session-{n}") for n in range(200)]
    with flags({**FLAGS, "new_ui_dashboard": SPLIT}):
        first = [LEFT_TO_FLAGS.choose(asker) for asker in askers]
        again = [LEFT_TO_FLAGS.choose(Asker(asker.user_id)) for asker in askers]

    assert first == again
    assert 60 < sum(choices.cards for choices in first) < 140
    seen = {event["targeting_key"]: event["variant"] for event in captured.of_type("exposure")}
    assert seen == {
        asker.user_id: choices.variants["new_ui_dashboard"]
        for asker, choices in zip(askers, first, strict=True)
    }


def test_without_a_user_a_session_keeps_its_variant(captured: Captured) -> None:
    with flags({**FLAGS, "new_ui_dashboard": SPLIT}):
        first, again = (LEFT_TO_FLAGS.choose(Asker(None, "session-9")) for _ in range(2))
        nobody = LEFT_TO_FLAGS.choose(Asker())

    assert first == again
    assert [event["targeting_key"] for event in captured.of_type("exposure")] == ["session-9"]
    assert not nobody.cards
    assert "new_ui_dashboard" not in nobody.variants


def test_the_page_of_cards_loads_the_lesser_deep_dive_prompts_itself() -> None:
    wanted = [p for p in Priority if Choices(cards=True).wants_deep_dive(p)]

    assert wanted == [Priority.CRITICAL, Priority.HIGH]
    assert all(Choices().wants_deep_dive(priority) for priority in Priority)
