from dataclasses import replace
from typing import Any as AnyType

import pytest

from windsock.flags.definition import (
    Any,
    Clause,
    Condition,
    Flag,
    FlagSet,
    InSegment,
    Not,
    Prerequisite,
    Rule,
    Segment,
    Split,
    Target,
)
from windsock.flags.evaluation import CompiledSet, Evaluation, compile_set

PRO = Condition("plan", "equals", ("pro",))


def flag(key: str = "f", **fields: AnyType) -> Flag:
    usual = {"off_variant": "off", "fallthrough": "on"}
    return Flag(key, "boolean", {"on": True, "off": False}, **{**usual, **fields})


def after(other: str, *variants: str) -> tuple[Prerequisite, ...]:
    return (Prerequisite(other, frozenset(variants or {"on"})),)


def when(clause: Clause, serve: AnyType = "on") -> dict[str, AnyType]:
    return {"rules": (Rule(clause, serve),), "fallthrough": "off"}


def compiled(*items: Flag | Segment) -> CompiledSet:
    flags = {each.key: each for each in items if isinstance(each, Flag)}
    segments = {each.key: each for each in items if isinstance(each, Segment)}
    return compile_set(FlagSet(flags, segments))


def given(
    flags: CompiledSet, key: str = "f", unit: str | None = "u-1", **context: object
) -> tuple[str | None, str]:
    found = flags[key].evaluate(unit, context)
    return found.variant, found.reason


def test_targets_come_before_rules_and_rules_before_the_fallthrough() -> None:
    flags = compiled(
        flag(
            targets=(Target("off", frozenset({"u-1"})), Target("on", frozenset({"u-1", "u-2"}))),
            rules=(Rule(PRO, "on"), Rule(Not(PRO), Split({"on": 1}))),
        )
    )

    assert given(flags, unit="u-1", plan="pro") == ("off", "TARGETING_MATCH")
    assert given(flags, unit="u-2") == ("on", "TARGETING_MATCH")
    assert given(flags, unit="u-3", plan="pro") == ("on", "TARGETING_MATCH")
    assert given(flags, unit="u-3") == ("on", "SPLIT")
    assert given(flags, unit=None, plan="pro") == ("on", "TARGETING_MATCH")


@pytest.mark.parametrize("part", ["prerequisites", "targets", "rules"])
def test_the_fallthrough_of_a_flag_that_looks_at_users_is_a_default(part: str) -> None:
    parts: dict[str, AnyType] = {
        "prerequisites": after("other"),
        "targets": (Target("off", frozenset({"u-9"})),),
        "rules": (Rule(PRO, "off"),),
    }
    flags = compiled(flag(**{part: parts[part]}), flag("other"))

    assert given(flags) == ("on", "DEFAULT")
    assert flags["f"].fixed is None
    assert given(flags, "other") == ("on", "STATIC")
    assert flags["other"].fixed == Evaluation("other", "on", True, "STATIC")


def test_without_a_fallthrough_the_default_is_the_callers() -> None:
    flags = compiled(flag(fallthrough=None, rules=(Rule(PRO, "on"),)))

    assert given(flags) == (None, "DEFAULT")
    assert given(flags, plan="pro") == ("on", "TARGETING_MATCH")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (flag("other"), ("on", "DEFAULT")),
        (flag("other", fallthrough="off"), ("off", "DISABLED")),
        (flag("other", enabled=False), ("off", "DISABLED")),
        (flag("other", enabled=False, off_variant="on"), ("on", "DEFAULT")),
        (flag("other", enabled=False, off_variant=None), ("off", "DISABLED")),
        (flag("other", fallthrough=Split({"on": 1})), ("on", "DEFAULT")),
        (flag("another"), ("off", "DISABLED")),
    ],
    ids=["met", "unmet", "disabled", "off is enough", "no variant", "split", "missing"],
)
def test_a_prerequisite_must_give_one_of_its_variants(
    other: Flag, expected: tuple[str, str]
) -> None:
    assert given(compiled(flag(prerequisites=after("other")), other)) == expected


def test_a_prerequisite_is_asked_for_the_same_user_and_context() -> None:
    other = flag("other", **when(PRO), targets=(Target("on", frozenset({"u-7"})),))
    flags = compiled(flag(prerequisites=after("other")), other)

    assert given(flags)[1] == "DISABLED"
    assert given(flags, plan="pro")[1] == "DEFAULT"
    assert given(flags, unit="u-7")[1] == "DEFAULT"


def test_a_flag_off_looks_at_no_prerequisite() -> None:
    flags = compiled(flag(enabled=False, prerequisites=after("f")))

    assert given(flags) == ("off", "DISABLED")
    assert flags.problems == {"f": "f need one another in a circle"}


def test_a_segment_is_included_but_for_the_excluded() -> None:
    segment = Segment("staff", frozenset({"u-1", "u-2"}), frozenset({"u-2", "u-3"}), PRO)
    flags = compiled(flag(**when(InSegment("staff"))), segment)

    assert given(flags, unit="u-1")[0] == "on"
    assert given(flags, unit="u-2", plan="pro")[0] == "off"
    assert given(flags, unit="u-3", plan="pro")[0] == "off"
    assert given(flags, unit="u-4", plan="pro")[0] == "on"
    assert given(flags, unit=None, plan="pro")[0] == "on"
    assert given(flags, unit=None)[0] == "off"


def test_segments_nest() -> None:
    outer = Segment("outer", when=Any((InSegment("inner"), PRO)))
    flags = compiled(flag(**when(InSegment("outer"))), outer, Segment("inner", frozenset({"u-1"})))

    assert given(flags)[0] == "on"
    assert given(flags, unit="u-2")[0] == "off"
    assert given(flags, unit="u-2", plan="pro")[0] == "on"


def test_a_flag_that_cannot_be_used_harms_no_other() -> None:
    flags = compiled(
        flag("lost", **when(Not(InSegment("lost")))),
        flag("nested", **when(InSegment("outer"))),
        flag("chicken", prerequisites=after("egg")),
        flag("egg", prerequisites=after("chicken")),
        flag("after egg", prerequisites=after("egg", "off")),
        flag("works"),
        Segment("outer", when=InSegment("round")),
        Segment("round", when=InSegment("round")),
    )

    assert flags.problems == {
        "lost": "there is no segment 'lost'",
        "nested": "segment 'outer': segment 'round': round need one another in a circle",
        "chicken": "chicken, egg need one another in a circle",
        "egg": "chicken, egg need one another in a circle",
    }
    assert flags["lost"].evaluate("u-1", {}) == Evaluation(
        "lost", None, None, "ERROR", "PARSE_ERROR", "there is no segment 'lost'"
    )
    assert given(flags, "after egg") == ("off", "DISABLED")
    assert given(flags, "works") == ("on", "STATIC")


def test_a_chain_of_prerequisites_has_an_end() -> None:
    chain = [flag("0")]
    chain += [flag(f"{n}", prerequisites=after(f"{n - 1}")) for n in range(1, 2_000)]
    flags = compiled(*chain)

    assert given(flags, "49") == ("on", "DEFAULT")
    assert "more than 50 deep" in flags.problems["50"]
    assert flags["51"].evaluate("u-1", {}).reason == "DISABLED"


def test_prerequisites_that_multiply_are_refused() -> None:
    levels = [flag("0-a"), flag("0-b")]
    for n in range(1, 15):
        both = (*after(f"{n - 1}-a"), *after(f"{n - 1}-b"))
        levels += [flag(f"{n}-{side}", prerequisites=both) for side in "ab"]
    flags = compiled(*levels)

    assert min(flags.problems) == "9-a"
    assert "more than 1000 prerequisites" in flags.problems["9-a"]
    assert given(flags, "8-a") == ("on", "DEFAULT")


def test_segments_that_nest_too_deep_are_refused() -> None:
    nested = [Segment("0", frozenset({"u-1"}))]
    nested += [Segment(f"{n}", when=InSegment(f"{n - 1}")) for n in range(1, 12)]
    flags = compiled(
        flag("deep", **when(InSegment("9"))), flag("deeper", **when(InSegment("10"))), *nested
    )

    assert given(flags, "deep")[0] == "on"
    assert "more than 10 deep" in flags.problems["deeper"]


def test_segments_that_multiply_are_refused() -> None:
    many = Segment("many", when=Any((PRO,) * 100))
    more = Segment("more", when=Any((InSegment("many"),) * 1_000))
    flags = compiled(
        flag("as many as may be", **when(InSegment("more"))),
        flag("wide", **when(Any((InSegment("more"),) * 11))),
        flag("deep", **when(InSegment("most"))),
        many,
        more,
        Segment("most", when=Any((InSegment("more"), PRO))),
    )

    assert given(flags, "as many as may be", plan="pro")[0] == "on"
    assert "more than 1000000 conditions" in flags.problems["wide"]
    assert "more than 100000 conditions" in flags.problems["deep"]


def test_a_change_prepares_again_only_what_it_concerns() -> None:
    before = compiled(
        flag("base"),
        flag("next", prerequisites=after("base")),
        flag("last", prerequisites=after("next")),
        flag("staff only", **when(InSegment("outer"))),
        flag("apart", **when(PRO)),
        Segment("outer", when=InSegment("inner")),
        Segment("inner", frozenset({"u-1"})),
    )

    by_flag = before.after([flag("base", fallthrough="off")])
    by_segment = before.after((), (), [Segment("inner")])

    assert {key for key in before if by_flag[key] is not before[key]} == {"base", "next", "last"}
    assert {key for key in before if by_segment[key] is not before[key]} == {"staff only"}
    assert given(before, "last") == ("on", "DEFAULT")
    assert given(by_flag, "last") == ("off", "DISABLED")
    assert given(before, "staff only")[0] == "on"
    assert given(by_segment, "staff only")[0] == "off"


def test_what_is_removed_is_missed() -> None:
    before = compiled(
        flag("base"),
        flag("next", prerequisites=after("base")),
        flag("staff only", **when(InSegment("staff"))),
        Segment("staff", frozenset({"u-1"})),
    )

    gone = before.after((), ["base", "unknown"], (), ["staff", "unknown"])
    again = gone.after([flag("base")], (), [Segment("staff", frozenset({"u-1"}))])

    assert gone.keys() == {"next", "staff only"}
    assert given(gone, "next") == ("off", "DISABLED")
    assert gone.problems == {"staff only": "there is no segment 'staff'"}
    assert again.problems == {}
    assert given(again, "next") == ("on", "DEFAULT")
    assert given(again, "staff only") == ("on", "TARGETING_MATCH")


def test_a_circle_that_is_opened_works() -> None:
    one, other = (
        flag("one", prerequisites=after("other")),
        flag("other", prerequisites=after("one")),
    )
    circle = compiled(one, other)

    opened = circle.after([replace(other, prerequisites=())])

    assert circle.problems.keys() == {"one", "other"}
    assert opened.problems == {}
    assert given(opened, "one") == ("on", "DEFAULT")


def test_a_definition_that_was_never_read_may_be_wrong() -> None:
    flags = compiled(
        flag("operator", **when(Condition("plan", "resembles", ("pro",)))),
        flag("variant", rules=(Rule(PRO, "maybe"),)),
        flag("weights", fallthrough=Split({})),
    )

    for key in flags:
        assert flags[key].evaluate("u-1", {}).error_code == "PARSE_ERROR"
        assert flags[key].evaluate("u-1", {}).error_code == "PARSE_ERROR"
        assert flags[key].problem
