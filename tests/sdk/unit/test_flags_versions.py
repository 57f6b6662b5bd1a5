from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.flags.clauses import clause_of
from windsock.flags.conditions import holds_of
from windsock.flags.values import version

# The examples of SemVer 2.0, section 11, each lower than the next.
PRECEDENCE = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
]


def holds(operator: str, value: str, attribute: object) -> bool:
    clause = clause_of({"attribute": "v", "operator": operator, "value": value}, "when")
    return holds_of(clause, {})(None, {"v": attribute})


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(PRECEDENCE)))
def test_precedence_is_that_of_the_specification(lower: str, higher: str) -> None:
    assert holds("semver_less_than", higher, lower)
    assert holds("semver_less_or_equal", higher, lower)
    assert holds("semver_greater_than", lower, higher)
    assert holds("semver_greater_or_equal", lower, higher)
    assert not holds("semver_less_than", lower, higher)
    assert not holds("semver_equals", lower, higher)
    assert holds("semver_equals", lower, lower)
    assert holds("semver_less_or_equal", lower, lower)


releases = st.tuples(*[st.integers(0, 3)] * 3)


@given(releases, releases)
def test_releases_are_ordered_by_their_numbers(
    one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    first, second = (".".join(map(str, each)) for each in (one, other))

    assert holds("semver_less_than", second, first) == (one < other)
    assert holds("semver_greater_or_equal", second, first) == (one >= other)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("1", "1.0.0"),
        ("v1.2", "1.2.0"),
        ("V1.2.3", "1.2.3"),
        ("1.2.3+build.5", "1.2.3"),
        ("1-rc", "1.0.0-rc"),
        ("1.2.3-rc+build", "1.2.3-rc"),
    ],
)
def test_what_is_left_out_is_zero_and_a_build_says_nothing(short: str, full: str) -> None:
    assert holds("semver_equals", full, short)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "1.",
        "1.2.3.4",
        "01.2.3",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+",
        "1.2.3 ",
        "1.2.3\n",
        "-1.2.3",
        "1.x",
        "\u0661.2.3",
        "latest",
        "1" * 201,
        1,
        1.2,
        None,
    ],
    ids=str,
)
def test_what_is_no_version_holds_against_none(text: object) -> None:
    assert version(text) is None
    assert not holds("semver_greater_or_equal", "0.0.0-0", text)


@pytest.mark.parametrize(
    ("operator", "value", "held", "not_held"),
    [
        ("semver_tilde", "1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0", "2.2.3", "1.2.3-rc"]),
        ("semver_tilde", "1.2", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]),
        ("semver_tilde", "1", ["1.0.0", "1.9.0"], ["2.0.0", "0.9.0", "2.0.0-rc"]),
        ("semver_tilde", "1.2.3-rc.1", ["1.2.3-rc.2", "1.2.3"], ["1.2.3-beta", "1.3.0-rc.1"]),
        ("semver_caret", "1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0", "2.0.0-rc"]),
        ("semver_caret", "0.2.3", ["0.2.3", "0.2.9"], ["0.2.2", "0.3.0", "1.2.3"]),
        ("semver_caret", "0.0.3", ["0.0.3"], ["0.0.2", "0.0.4"]),
        ("semver_caret", "0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
        ("semver_caret", "0", ["0.0.1", "0.9.0"], ["1.0.0"]),
        ("semver_caret", "1", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.9"]),
    ],
)
def test_a_range_begins_at_its_version(
    operator: str, value: str, held: list[str], not_held: list[str]
) -> None:
    assert [each for each in held if not holds(operator, value, each)] == []
    assert [each for each in not_held if holds(operator, value, each)] == []
