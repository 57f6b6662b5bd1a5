"""GrowthBook's own answers: after an import each context gives what its SDK gives, or the report told."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from flags_svc.conversion import growthbook
from flags_svc.conversion.outcome import DRAWN_ANEW, NUMBERS, VERSIONS
from tests.flags_svc.conformance import Imported, data
from windsock.flags.evaluation import Evaluation

DATA: dict[str, Any] = data("growthbook.json")
CONDITIONS: list[dict[str, Any]] = DATA["conditions"]
_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+].*)?")
FEATURES: list[dict[str, Any]] = DATA["features"]


def imported(feature: dict[str, Any], groups: object = None) -> Imported:
    value = {"features": {"flag": feature}, "savedGroups": groups or {}}
    return Imported(growthbook.read(value, "production"))


def ask(flags: Imported, attributes: dict[str, Any]) -> Evaluation:
    rest = {name: each for name, each in attributes.items() if name != "id"}
    return flags.ask("flag", attributes.get("id"), rest)


def rule(row: dict[str, Any], answers: list[bool]) -> str:
    """Return the rule by which contexts of a condition give something else, and hold them to it."""
    flags = imported(
        {"defaultValue": False, "rules": [{"condition": row["condition"], "force": True}]},
        row.get("groups"),
    )
    if flags.left_out:
        assert flags.left_out["flag"].path.startswith("features.flag"), row
        return "left out"
    contexts = DATA["contexts"][row["for"]]
    others = [
        context
        for context, answer in zip(contexts, answers, strict=True)
        if ask(flags, context).value is not answer
    ]
    if not others:
        return "same"
    said = flags.said_of("flag")
    if NUMBERS in said:
        # As in GrowthBook's SDK for JavaScript and its published cases, and not as in this one.
        assert all(each.get("x") is None for each in others), (row, others)
        return "missing number"
    if VERSIONS in said:
        assert not any(_VERSION.fullmatch(str(each["x"])) for each in others), (row, others)
        return "no version"
    # Told in the guide, as it is so for all conditions there are.
    assert all(isinstance(each.get("x"), list) or "x.y" in each for each in others), (row, others)
    return "list or whole name"


def test_conditions_hold_as_in_growthbook() -> None:
    rules = Counter(rule(row, [digit == "1" for digit in row["holds"]]) for row in CONDITIONS)

    assert rules == {
        "same": 80,
        "left out": 36,
        "missing number": 8,
        "no version": 20,
        "list or whole name": 14,
    }


@pytest.mark.parametrize("row", FEATURES, ids=range(len(FEATURES)))
def test_features_give_what_growthbook_gives(row: dict[str, Any]) -> None:
    flags = imported(row["feature"])
    if flags.left_out:
        assert flags.left_out["flag"].path.startswith("features.flag")
        return

    said = flags.said_of("flag")
    for person, value in zip(DATA["people"], row["gives"], strict=True):
        found = ask(flags, person)
        if found.value != value:
            assert DRAWN_ANEW in said, (person, found)
            assert found.reason == "SPLIT" or found.error_code is not None, (person, found)


def test_what_growthbook_alone_has_is_left_out() -> None:
    left_out = [row["feature"] for row in FEATURES if imported(row["feature"]).left_out]

    assert {name for feature in left_out for each in feature.get("rules", []) for name in each} >= {
        "range",
        "ranges",
        "filters",
        "namespace",
        "parentConditions",
        "fallbackAttribute",
    }
