from collections.abc import Mapping
from typing import Any as AnyType
from typing import NoReturn

import pytest

from tests.sdk.flag_strategies import ATTRIBUTES
from windsock.flags.clauses import clause_of
from windsock.flags.definition import All, Condition, Flag, FlagSet, Rule, Split
from windsock.flags.evaluation import compile_set
from windsock.flags.explaining import explain
from windsock.flags.operators import OPERATORS

VALUES: dict[str, AnyType] = {
    "before": "2026-01-01",
    "after": "2026-01-01",
    "in_cidr": "10.0.0.0/8",
    "matches": "a",
}


class Hostile(str):
    def __eq__(self, other: object) -> NoReturn:
        raise LookupError

    def __hash__(self) -> NoReturn:
        raise LookupError

    def __str__(self) -> NoReturn:
        raise LookupError

    def encode(self, *_: object) -> NoReturn:
        raise LookupError

    def casefold(self) -> NoReturn:
        raise LookupError

    def startswith(self, *_: object) -> NoReturn:
        raise LookupError

    def __contains__(self, _: object) -> NoReturn:
        raise LookupError

    def __getitem__(self, _: object) -> NoReturn:
        raise LookupError


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> NoReturn:
        raise ZeroDivisionError

    def __iter__(self) -> NoReturn:
        raise ZeroDivisionError

    def __len__(self) -> NoReturn:
        raise ZeroDivisionError


def value_of(operator: str) -> list[object]:
    if operator == "exists":
        return []
    if operator in VALUES:
        return [VALUES[operator]]
    return ["1.2.3" if operator.startswith("semver") else 5 if "_than" in operator else "a"]


def nested(depth: int) -> list[AnyType]:
    value: list[AnyType] = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[AnyType]:
    value: list[AnyType] = []
    value.append(value)
    return value


ODDITIES: dict[str, object] = {
    "nothing": None,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "huge": 10**5_000,
    "huge text": "9" * 1_000_000,
    "surrogate": "\ud800",
    "nul": "\x00",
    "bytes": b"a",
    "complex": 1j,
    "set": {1, 2},
    "nested": nested(50_000),
    "endless": endless(),
    "object": object(),
    "type": int,
    "hostile": Hostile("a"),
    "hostile mapping": HostileMapping(),
    "list of them": [Hostile("a"), HostileMapping(), float("nan"), "\ud800", None],
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_no_attribute_makes_an_evaluation_raise(oddity: str) -> None:
    context = dict.fromkeys(ATTRIBUTES, ODDITIES[oddity]) | {"user": ODDITIES[oddity]}
    for operator in OPERATORS:
        for ignore_case in (False, OPERATORS[operator].has_case):
            rules = tuple(
                Rule(Condition(name, operator, tuple(value_of(operator)), False, ignore_case), "a")
                for name in ATTRIBUTES
            )
            flag = Flag("f", "string", {"a": ""}, rules=rules, fallthrough=Split({"a": 1}))
            flags = compile_set(FlagSet({"f": flag, "g": Flag(**fields_for(flag))}))

            for key in flags:
                found = flags[key].evaluate("u-1", context)
                assert found.error_code in {None, "GENERAL", "INVALID_CONTEXT"}
                explained = explain(flags, key, "u-1", context)
                assert explained.evaluation == found
                assert explained.document()["reason"] == found.reason


def fields_for(flag: Flag) -> dict[str, AnyType]:
    return {
        "key": "g",
        "type": flag.type,
        "variants": flag.variants,
        "fallthrough": flag.fallthrough,
        "bucket_by": "age",
    }


@pytest.mark.parametrize("context", [HostileMapping(), None, [], 5, "plan"], ids=repr)
def test_no_context_makes_an_evaluation_raise(context: AnyType) -> None:
    flag = Flag("f", "string", {"a": ""}, rules=(Rule(Condition("plan", "exists"), "a"),))
    flags = compile_set(FlagSet({"f": flag}))

    found = flags["f"].evaluate("u-1", context)

    assert (found.reason, found.error_code) == ("ERROR", "GENERAL")
    assert explain(flags, "f", "u-1", context).evaluation == found


@pytest.mark.parametrize("unit", ["\ud800", 5, b"u-1"], ids=lambda unit: type(unit).__name__)
def test_no_user_makes_an_evaluation_raise(unit: AnyType) -> None:
    flags = compile_set(FlagSet({"f": Flag("f", "string", {"a": ""}, fallthrough=Split({"a": 1}))}))

    found = flags["f"].evaluate(unit, {})

    assert (found.reason, found.variant) == ("ERROR", None)
    assert explain(flags, "f", unit, {}).evaluation.reason == "ERROR"


def test_a_clause_as_great_as_may_be_is_read_and_asked() -> None:
    many = [{"attribute": "plan", "operator": "in", "values": ["pro", "max"]}] * 989
    most = {"attribute": "plan", "operator": "in", "values": ["pro"] * 10_000}
    clause: dict[str, AnyType] = {"all": [*many, most]}
    for _ in range(9):
        clause = {"not": clause}
    rule = Rule(clause_of(clause, "when"), "a")
    flags = compile_set(FlagSet({"f": Flag("f", "string", {"a": ""}, rules=(rule,))}))

    assert flags["f"].evaluate("u-1", {"plan": "trial"}).variant == "a"
    assert explain(flags, "f", "u-1", {"plan": "pro"}).evaluation.variant is None


def test_a_clause_that_was_never_read_may_be_deep() -> None:
    clause: All | Condition = Condition("plan", "exists")
    for _ in range(100_000):
        clause = All((clause,))
    flags = compile_set(FlagSet({"f": Flag("f", "string", {"a": ""}, rules=(Rule(clause, "a"),))}))

    assert flags["f"].evaluate("u-1", {}).error_code == "PARSE_ERROR"
