from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any as AnyType

import pytest

from windsock.flags.clauses import clause_of
from windsock.flags.conditions import holds_of
from windsock.flags.definition import All, Any, Condition, Not

YES = Condition("plan", "equals", ("pro",))
NO = Condition("plan", "equals", ("trial",))
ABSENT = object()


def holds(condition: dict[str, AnyType], value: object = ABSENT) -> bool:
    clause = clause_of({"attribute": "x", **condition}, "when")
    return holds_of(clause, {})("u-1", {} if value is ABSENT else {"x": value})


@pytest.mark.parametrize(
    ("operator", "values", "held", "not_held"),
    [
        ("equals", ["a"], ["a"], ["A", "", "ab", 1, True]),
        ("equals", [1], [1, 1.0], [True, "1", 2]),
        ("equals", [True], [True], [1, "true", False]),
        ("equals", [2**53 + 1], [2**53 + 1], [float(2**53)]),
        ("in", ["a", 2, False], ["a", 2.0, False], ["b", 0, True]),
        ("in", [], [], ["a", 0, False]),
        ("contains", ["b", "z"], ["abc", "z"], ["ABC", 5, ""]),
        ("contains", [""], ["", "a"], [5]),
        ("starts_with", ["ab", "x"], ["abc", "x"], ["cab", "Ab", 5]),
        ("ends_with", ["bc"], ["abc"], ["bca", 5]),
        ("greater_than", [3], [4, 3.5, 10**400], [3, -1, "4", True, float("nan")]),
        ("greater_or_equal", [3], [3, 3.0], [2.9, "3"]),
        ("less_than", [0.5], [0, -(10**400)], [0.5, 1, False]),
        ("less_or_equal", [0.5], [0.5, 0], [0.6, None]),
        ("greater_than", [9, 3], [4], [3]),
    ],
)
def test_an_operator_holds_for_these_and_not_for_those(
    operator: str, values: list[object], held: list[object], not_held: list[object]
) -> None:
    condition = {"operator": operator, "values": values}

    assert [value for value in held if not holds(condition, value)] == []
    assert [value for value in not_held if holds(condition, value)] == []


@pytest.mark.parametrize(
    ("operator", "value", "attribute"),
    [
        ("equals", "STRASSE", "straße"),
        ("in", "Pro", "pRO"),
        ("contains", "Ab", "xaBx"),
        ("starts_with", "PRO", "professional"),
        ("ends_with", "İ", "xi̇"),
        ("matches", "^P.O$", "pro"),
    ],
)
def test_case_is_ignored_where_it_is_said(operator: str, value: str, attribute: str) -> None:
    condition = {"operator": operator, "value": value}

    assert not holds(condition, attribute)
    assert holds({**condition, "ignore_case": True}, attribute)


def test_exists_needs_a_value_that_is_not_null() -> None:
    exists: dict[str, AnyType] = {"operator": "exists"}
    values: list[object] = ["", 0, False, [], {}, [None], ABSENT, None]

    for value in values:
        expected = value is not ABSENT and value is not None
        assert holds(exists, value) is expected
        assert holds({**exists, "negate": True}, value) is not expected


@pytest.mark.parametrize("value", [ABSENT, None, 5, [], ["b"], {"a": 1}, object()], ids=repr)
def test_negation_turns_every_answer_round(value: object) -> None:
    condition = {"operator": "starts_with", "value": "a"}

    assert not holds(condition, value)
    assert holds({**condition, "negate": True}, value)


def test_one_element_of_a_list_must_hold() -> None:
    roles = {"operator": "in", "values": ["admin", "owner"]}

    assert holds(roles, ["guest", "owner"])
    assert holds(roles, ("guest", "owner"))
    assert not holds(roles, ["guest", None, 5])
    assert not holds({**roles, "negate": True}, ["guest", "owner"])


def test_an_attribute_is_found_by_name_before_its_path() -> None:
    condition = Condition("user.plan", "equals", ("pro",))
    check = holds_of(condition, {})

    assert check(None, {"user.plan": "pro", "user": {"plan": "trial"}})
    assert check(None, {"user": {"plan": "pro"}})
    assert not check(None, {"user": {"plan": "trial"}})
    assert not check(None, {"user": "pro"})
    assert not check(None, {"user": {}})
    assert holds_of(Condition("a.b.c", "equals", (1,)), {})(None, {"a": {"b": {"c": 1}}})


def test_the_targeting_key_is_an_attribute() -> None:
    condition = holds_of(Condition("targetingKey", "starts_with", ("staff-",)), {})

    assert condition("staff-7", {})
    assert not condition("u-1", {"targetingKey": "staff-7"})
    assert not condition(None, {})


@pytest.mark.parametrize(
    ("clause", "held"),
    [
        (All(()), True),
        (Any(()), False),
        (All((YES,)), True),
        (Any((NO,)), False),
        (All((YES, NO)), False),
        (Any((NO, YES)), True),
        (All((YES, YES, NO)), False),
        (All((YES, YES, YES)), True),
        (Any((NO, NO, YES)), True),
        (Any((NO, NO, NO)), False),
        (Not(NO), True),
        (Not(All((YES, Not(NO)))), False),
    ],
)
def test_groups_are_those_of_logic(clause: All | Any | Not, held: bool) -> None:
    assert holds_of(clause, {})(None, {"plan": "pro"}) is held


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T00:00:00Z",
        "2026-03-01T00:00:00+00:00",
        "2026-03-01t01:00:00.000+01:00",
        "2026-02-28T18:30:00-05:30",
        "2026-03-01T00:00:00",
        "2026-03-01",
        1_772_323_200,
        1_772_323_200.0,
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 3, 1),  # noqa: DTZ001
        date(2026, 3, 1),
    ],
    ids=repr,
)
def test_the_same_time_is_neither_before_nor_after_however_it_is_written(value: object) -> None:
    at = "2026-03-01T00:00:00Z"

    assert not holds({"operator": "before", "value": at}, value)
    assert not holds({"operator": "after", "value": at}, value)
    assert holds({"operator": "before", "value": "2026-03-01T00:00:00.001Z"}, value)
    assert holds({"operator": "after", "value": "2026-02-28T23:59:59Z"}, value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-29",
        "2026-13-01",
        "2026-03-01T24:00:00Z",
        "2026-03-01T23:60:00Z",
        "2026-03-01T00:00:61Z",
        "2026-03-01T00:00Z",
        "2026-03-01T00:00:00+24:00",
        "2026-03-01T00:00:00+01:60",
        "2026-03-01 ",
        "\uff12\uff10\uff12\uff16-03-01",
        "0000-01-01",
        "1772323200",
        "",
        "2026-03-01T00:00:00." + "0" * 10_000 + "Z",
        True,
        float("nan"),
        {},
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_time_is_neither_before_nor_after(value: object) -> None:
    assert not holds({"operator": "before", "value": "9999-12-31"}, value)
    assert not holds({"operator": "after", "value": "0001-01-01"}, value)


def test_a_leap_second_is_the_one_after_it() -> None:
    leap = {"operator": "before", "value": "2017-01-01T00:00:00Z"}

    assert not holds(leap, "2016-12-31T23:59:60Z")
    assert holds(leap, "2016-12-31T23:59:59.999Z")


@pytest.mark.parametrize(
    ("networks", "held", "not_held"),
    [
        (["10.0.0.0/8"], ["10.255.0.1", "::ffff:10.1.2.3"], ["11.0.0.1", "::a00:1", "10.0.0"]),
        (["192.168.1.77/24"], ["192.168.1.1"], ["192.168.2.1"]),
        (["10.1.2.3"], ["10.1.2.3"], ["10.1.2.4"]),
        (["0.0.0.0/0"], ["255.255.255.255"], ["::1", "256.0.0.1", "1.2.3.4/32", 16909060]),
        (["2001:db8::/32"], ["2001:db8:ffff::1"], ["2001:db9::1", "10.0.0.1"]),
        (["::/0"], ["::1"], ["10.0.0.1", "::ffff:10.0.0.1"]),
        (["::ffff:10.0.0.0/104"], ["10.9.9.9", "::ffff:10.9.9.9"], ["11.0.0.1"]),
        (["fe80::/10", "10.0.0.0/8"], ["fe80::1%eth0", "10.0.0.1"], ["::1", "010.0.0.1"]),
    ],
)
def test_addresses_are_in_their_networks(
    networks: list[str], held: list[object], not_held: list[object]
) -> None:
    condition = {"operator": "in_cidr", "values": networks}

    assert [value for value in held if not holds(condition, value)] == []
    assert [value for value in not_held if holds(condition, value)] == []
