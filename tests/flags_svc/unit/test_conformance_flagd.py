"""flagd's own evaluator on every kind of value: an import gives the same, or the report told.

What is asked is what the scenarios of flagd's testbed ask: zero values, refs to shared evaluators, versions, texts,
lists, nothing at all.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from flags_svc.conversion import flagd
from flags_svc.conversion import outcome as told
from tests.flags_svc.conformance import Imported

X = {"var": "x"}
VALUES: list[Any] = ["a", "ab", "", "8", "1.2.3", 0, 1, 8, -3, 2.5, True, False, ["a", "b"], ["ab"]]
CONTEXTS: list[dict[str, Any]] = [{}, *({"x": each} for each in VALUES)]
VERSIONS = [
    "1.2.3",
    "v1.2.3",
    "1.2",
    "1.2.3-rc.1",
    "1.2.3+b",
    "1.10.0",
    "2.0.0",
    "0.2.9",
    "a.b",
    "",
]
EQUAL = [
    {name: [X, operand]}
    for name in ("==", "===", "!=", "!==")
    for operand in ("a", "", 1, 0, 2.5, True, False, None)
]
ORDERED = [{name: [X, each]} for name in ("<", "<=", ">", ">=") for each in (-1, 0, 2.5, 8)]
TEXTS = [
    {"starts_with": [X, "a"]},
    {"ends_with": [X, "b"]},
    {"in": ["a", X]},
    {"in": [X, ["a", "ab"]]},
    {"in": [X, [1, 8]]},
    {"in": [X, []]},
]
NESTED = [
    X,
    {"!": [X]},
    {"!!": [X]},
    {"and": [X, {"===": [X, "a"]}]},
    {"or": [{"===": [X, "a"]}, {"$ref": "one"}]},
    {"if": [{"$ref": "one"}, False, True]},
]
SEMVER = [
    {"sem_ver": [X, name, each]}
    for name in ("=", "!=", "<", "<=", ">", ">=", "^", "~")
    for each in ("1.2.3", "v1.2", "0.2.0")
]
TYPES = "values equal only those of their own type"


def definition(condition: Any) -> dict[str, Any]:
    flag = {
        "state": "ENABLED",
        "variants": {"yes": "yes", "no": "no", "neither": "neither"},
        "defaultVariant": "neither",
        "targeting": {"if": [condition, "yes", "no"]},
    }
    return {"flags": {"flag": flag}, "$evaluators": {"one": {"===": [X, 1]}}}


def others(condition: Any, contexts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return the contexts that give something else here, and what was told."""
    value = definition(condition)
    imported = Imported(flagd.read(value, "production"))
    assert not imported.left_out
    core = FlagdCore()
    core.set_flags(deepcopy(value))
    found = [
        context
        for context in contexts
        if imported.ask("flag", "ann", context).value
        != core.resolve_string_value("flag", "", EvaluationContext("ann", context)).value
    ]
    return found, imported.said_of("flag")


@pytest.mark.parametrize("condition", [*EQUAL, *TEXTS, *NESTED], ids=str)
def test_values_are_compared_as_in_flagd(condition: Any) -> None:
    found, said = others(condition, CONTEXTS)

    # An attribute that is a list holds when an element does, as the guide says. And that true is 1
    # is so in Python alone, of all that flagd's evaluator is written in.
    rest = [each for each in found if not isinstance(each.get("x"), list)]
    assert TYPES in said or [each for each in rest if each.get("x") not in {0, 1}] == []


@pytest.mark.parametrize("condition", ORDERED, ids=str)
def test_numbers_are_compared_as_in_flagd(condition: Any) -> None:
    found, said = others(condition, CONTEXTS)

    assert told.NUMBERS in said
    assert [each for each in found if type(each.get("x", 0)) in {int, float}] == []


@pytest.mark.parametrize("condition", SEMVER, ids=str)
def test_versions_are_compared_as_in_flagd(condition: Any) -> None:
    found, said = others(condition, [{}, {"x": 1}, *({"x": each} for each in VERSIONS)])

    assert said == told.VERSIONS
    # There, a number is one too.
    assert found in ([], [{"x": 1}])


@pytest.mark.parametrize(
    ("variants", "targeting"),
    [
        ({"zero": False, "other": True}, None),
        ({"zero": 0, "other": 1}, None),
        ({"zero": 0.0, "other": 1.5}, None),
        ({"zero": "", "other": "x"}, None),
        ({"zero": {}, "other": {"a": 1}}, None),
        ({"zero": 0, "other": 1}, {"if": [{"===": [X, 1]}, "other", "zero"]}),
        ({"zero": 0, "other": 1}, {"if": [{"===": [X, 1]}, "other"]}),
        ({"zero": 0, "other": 1}, {"if": [{"===": [X, 1]}, "other", None]}),
    ],
    ids=["false", "0", "0.0", "empty text", "empty object", "else", "no else", "null"],
)
def test_zero_is_a_value(variants: dict[str, Any], targeting: Any) -> None:
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "zero"}
    given = flag if targeting is None else {**flag, "targeting": targeting}

    imported = Imported(flagd.read({"flags": {"flag": given}}, "production"))

    assert imported.ask("flag", "ann", {}).value == variants["zero"]
    if targeting is not None:
        assert imported.ask("flag", "ann", {"x": 1}).value == 1


def test_what_flagd_alone_has_is_told() -> None:
    half = {"fractional": [{"var": "email"}, ["a", 50], ["b", 50]]}
    flag = {"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a"}
    flags = {
        "split": {**flag, "targeting": half},
        "off": {**flag, "state": "DISABLED"},
        "bare": {**flag, "defaultVariant": None},
        "timed": {**flag, "targeting": {"if": [{"<": [{"var": "$flagd.timestamp"}, 5]}, "a"]}},
        "wrong": {**flag, "targeting": {"if": [X, "none of them"]}},
    }

    imported = Imported(flagd.read({"flags": flags}, "production"))

    assert told.DRAWN_ANEW in imported.said_of("split")
    assert "while disabled" in imported.said_of("off")
    assert imported.left_out.keys() == {"bare", "timed", "wrong"}
