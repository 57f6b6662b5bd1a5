"""Each flag's effect has the direction that the reference workload documents for it."""

import json
from functools import cache
from importlib.resources import files

import pytest

import windsock.testing
from loadgen.demo.story import Story
from loadgen.demo.users import FLAGS, Population
from tests.loadgen.unit.demo.walks import COLD, Walk, walk


@cache
def with_variant(key: str, variant: str) -> Walk:
    return walk(COLD, {key: variant})


def test_prompt_cache_optimizer_is_cheaper_and_slightly_quicker() -> None:
    key, lower = "use_prompt_cache_optimizer", {"experimental_llm_model": "flash-exp"}
    on, off = walk(COLD, {key: "on", **lower}), walk(COLD, {key: "off", **lower})

    assert on.cost < 0.8 * off.cost
    assert on.call_seconds < off.call_seconds


def test_batch_generation_is_quicker_and_cheaper() -> None:
    on, off = (with_variant("use_batch_generation", variant) for variant in ("on", "off"))

    assert on.seconds < 0.9 * off.seconds
    assert on.cost < 0.9 * off.cost
    assert on.calls < 0.8 * off.calls


def test_dynamic_thresholds_refine_less_and_cost_less() -> None:
    on, off = (with_variant("dynamic_quality_thresholds", variant) for variant in ("on", "off"))

    assert on.refined < off.refined
    assert on.cost < off.cost


def test_parallel_searches_are_quicker_and_nothing_else() -> None:
    on, off = (with_variant("parallel_rag_searches", variant) for variant in ("on", "off"))

    assert on.seconds < off.seconds
    assert (on.cost, on.score) == (off.cost, off.score)


def test_lite_model_is_quicker_and_judged_lower() -> None:
    lite, exp = (
        with_variant("experimental_llm_model", variant) for variant in ("flash-lite", "flash-exp")
    )

    assert lite.call_seconds < exp.call_seconds
    assert lite.seconds < exp.seconds
    assert lite.score < exp.score - 0.3


@pytest.mark.parametrize(("optimizer", "cheaper"), [("on", "flash-exp"), ("off", "flash-lite")])
def test_lite_model_is_cheaper_but_where_the_prompt_cache_helps_the_other(
    optimizer: str, cheaper: str
) -> None:
    costs = {
        model: walk(
            COLD, {"use_prompt_cache_optimizer": optimizer, "experimental_llm_model": model}
        ).cost
        for model in ("flash-exp", "flash-lite")
    }

    assert min(costs, key=lambda model: costs[model]) == cheaper
    assert max(costs.values()) > 1.1 * min(costs.values())


@pytest.mark.parametrize(
    ("key", "more", "less"),
    [
        ("experimental_embedding_model", "te-005", "te-004"),
        ("experimental_rag_threshold", "relaxed", "strict"),
    ],
)
def test_more_context_makes_questions_better_and_input_longer(
    key: str, more: str, less: str
) -> None:
    much, little = with_variant(key, more), with_variant(key, less)

    assert much.score > little.score
    assert much.input_tokens > little.input_tokens


def test_cards_are_cheaper_and_quicker() -> None:
    on, off = (with_variant("new_ui_dashboard", variant) for variant in ("on", "off"))

    assert on.cost < off.cost
    assert on.seconds < off.seconds
    assert on.calls < off.calls


def test_advanced_evaluation_is_dearer_slower_and_stricter() -> None:
    on, off = (with_variant("advanced_quality_evaluation", variant) for variant in ("on", "off"))

    assert on.cost > off.cost
    assert on.seconds > off.seconds
    assert on.score < off.score - 0.2
    assert on.refined > off.refined


def test_users_get_the_variants_that_the_sdk_gives_them_by_halves_of_the_workloads_flags() -> None:
    written = json.loads(files("adaptive_questions").joinpath("flags.json").read_text())["flags"]
    halves = {
        flag["key"]: {
            "type": flag["type"],
            "variants": flag["variants"],
            "fallthrough": {"split": dict.fromkeys(flag["variants"], 50)},
        }
        for flag in written
    }
    users = Population(Story()).users

    with windsock.testing.capture(), windsock.testing.flags(halves) as flags:
        found = [{key: flags.variant(key, user.name) for key in halves} for user in users]

    assert {key: flag["variants"] for key, flag in halves.items()} == FLAGS
    assert found == [user.variants for user in users]


@pytest.mark.parametrize("key", [*FLAGS])
def test_each_variant_is_given_to_about_half_of_the_users(key: str) -> None:
    users = Population(Story()).users

    for variant in FLAGS[key]:
        share = sum(user.variants[key] == variant for user in users) / len(users)
        assert 0.4 < share < 0.6
