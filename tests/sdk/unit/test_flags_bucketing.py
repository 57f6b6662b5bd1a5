import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windsock.flags.bucketing import bucket, hash32, unit_text
from windsock.flags.definition import EVERYBODY, Flag, Rollout, Split
from windsock.flags.evaluation import CompiledFlag

USERS = [f"user-{number}" for number in range(20_000)]
HALVES = Split({"a": 1, "b": 1})
# Chi-square's upper critical values at 0.001 by degrees of freedom (NIST/SEMATECH handbook, 1.3.6.7.4).
CRITICAL = {1: 10.828, 9: 27.877, 99: 148.230}

users = st.text(st.characters(codec="utf-8"))
shares = st.integers(0, EVERYBODY)


def rollout(
    share: int, serve: str | Split = "a", key: str = "f", rollout_salt: str | None = None
) -> CompiledFlag:
    return CompiledFlag(
        Flag(
            key,
            "string",
            {"a": "one", "b": "other", "off": "none"},
            fallthrough=Rollout(share, serve, "off"),
            rollout_salt=rollout_salt,
        )
    )


def members(flag: CompiledFlag) -> set[str]:
    return {user for user in USERS if flag.evaluate(user).variant != "off"}


@given(users, shares, shares)
def test_who_is_in_stays_in_when_the_share_grows(user: str, one: int, other: int) -> None:
    smaller, greater = sorted((one, other))

    if rollout(smaller).evaluate(user).variant == "a":
        assert rollout(greater).evaluate(user).variant == "a"


@given(users, st.lists(shares, max_size=8))
def test_way_up_and_way_down_each_user_has_one_share_to_be_in_from(
    user: str, steps: list[int]
) -> None:
    comes_in_at = bucket(hash32(f"f/rollout:{user}"), EVERYBODY)

    assert [rollout(share).evaluate(user).variant == "a" for share in steps] == [
        comes_in_at < share for share in steps
    ]


@settings(max_examples=8, deadline=None)
@given(shares, shares)
def test_a_lower_share_removes_the_last_that_came_in(one: int, other: int) -> None:
    smaller, greater = sorted((one, other))
    before, after = members(rollout(greater)), members(rollout(smaller))

    assert after <= before
    came_in = {user: hash32(f"f/rollout:{user}") for user in before}
    assert max((came_in[user] for user in after), default=-1) <= min(
        (came_in[user] for user in before - after), default=1 << 32
    )


@given(users, shares, st.sampled_from((1, 40_000, EVERYBODY)))
def test_a_share_that_grows_changes_nobodys_side_of_the_split(
    user: str, one: int, other: int
) -> None:
    sides = {rollout(share, HALVES).evaluate(user).variant for share in (one, other)} - {"off"}

    assert len(sides) <= 1


@given(users)
def test_nobody_and_everybody_are_exactly_that(user: str) -> None:
    assert rollout(0).evaluate(user).reason == "STATIC"
    assert rollout(0).evaluate(user).variant == "off"
    assert rollout(EVERYBODY).evaluate(user).variant == "a"
    assert rollout(0).fixed is not None
    assert rollout(EVERYBODY).fixed is not None
    assert rollout(EVERYBODY, HALVES).evaluate(user).reason == "SPLIT"
    assert rollout(1).evaluate(user).reason == "SPLIT"


@pytest.mark.parametrize("share", [100, 1_000, 25_000, 50_000, 99_000])
def test_as_many_are_in_as_the_share_says(share: int) -> None:
    count = len(members(rollout(share)))

    expected = len(USERS) * share / EVERYBODY
    rest = len(USERS) - expected
    squared = (count - expected) ** 2 / expected + (count - expected) ** 2 / rest
    assert squared < CRITICAL[1]


@pytest.mark.parametrize("cells", [10, 100])
def test_users_are_spread_evenly(cells: int) -> None:
    counts = Counter(bucket(hash32(f"f/rollout:{user}"), cells) for user in USERS)

    expected = len(USERS) / cells
    squared = sum((counts[cell] - expected) ** 2 for cell in range(cells)) / expected
    assert squared < CRITICAL[cells - 1]


@pytest.mark.parametrize("key", ["use_batch_generation", "f", "flag-1"])
def test_the_rollout_is_independent_of_the_split(key: str) -> None:
    everybody, some = rollout(EVERYBODY, HALVES, key=key), rollout(30_000, key=key)

    pairs = Counter(
        (everybody.evaluate(user).variant, some.evaluate(user).variant) for user in USERS
    )

    assert independent(pairs)


@pytest.mark.parametrize(
    ("one", "other"), [("first", "second"), ("flag-1", "flag-2"), ("f", "f/rollout")]
)
def test_the_rollouts_of_two_flags_are_independent(one: str, other: str) -> None:
    first, second = rollout(30_000, key=one), rollout(30_000, key=other)

    pairs = Counter((first.evaluate(user).variant, second.evaluate(user).variant) for user in USERS)

    assert independent(pairs)


def independent(pairs: Counter[tuple[str | None, str | None]]) -> bool:
    """Return whether chi-square finds two choices of two independent, as one in a thousand fails."""
    rows, columns = Counter[str | None](), Counter[str | None]()
    for (row, column), count in pairs.items():
        rows[row] += count
        columns[column] += count
    expected = {(r, c): rows[r] * columns[c] / pairs.total() for r in rows for c in columns}
    return sum((pairs[cell] - n) ** 2 / n for cell, n in expected.items()) < CRITICAL[1]


def test_flags_with_the_same_rollout_salt_take_in_the_same_users() -> None:
    one, other = (rollout(30_000, key=key, rollout_salt="spring") for key in ("one", "other"))

    assert members(one) == members(other)
    assert members(one) != members(rollout(30_000, key="one"))


def test_the_rollout_hashes_its_own_text() -> None:
    # printf %s f/rollout:u-1 | b2sum --length 32
    assert f"{hash32('f/rollout:u-1'):08x}" == "9f889e46"
    place = bucket(hash32("f/rollout:u-1"), EVERYBODY)

    assert rollout(place).evaluate("u-1").variant == "off"
    assert rollout(place + 1).evaluate("u-1").variant == "a"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("u-1", "u-1"),
        ("", ""),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (1e22, "1" + "0" * 22),
        (0.1, "0.1"),
        (1.5e-7, "1.5e-07"),
        (True, "true"),
        (False, "false"),
        (None, None),
        ([], None),
        ({"id": 1}, None),
        (math.nan, None),
        (math.inf, None),
        (10**2_000, None),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_an_attribute_is_hashed_as_json_would_write_it(value: object, text: str | None) -> None:
    assert unit_text(value) == text


def test_another_attribute_can_be_hashed() -> None:
    flag = CompiledFlag(
        Flag("f", "string", {"a": "", "b": ""}, fallthrough=HALVES, bucket_by="company.id")
    )
    by_key = CompiledFlag(Flag("f", "string", {"a": "", "b": ""}, fallthrough=HALVES))

    for number in range(50):
        variant = by_key.evaluate(f"{number}").variant
        assert flag.evaluate("u-1", {"company": {"id": number}}).variant == variant
        assert flag.evaluate(None, {"company.id": f"{number}"}).variant == variant


@pytest.mark.parametrize("context", [{}, {"company": None}, {"company": []}, {"company": math.nan}])
def test_without_what_is_hashed_the_context_is_invalid(context: dict[str, object]) -> None:
    flag = CompiledFlag(
        Flag("f", "string", {"a": "", "b": ""}, fallthrough=HALVES, bucket_by="company")
    )

    found = flag.evaluate("u-1", context)

    assert (found.reason, found.error_code) == ("ERROR", "INVALID_CONTEXT")
    assert "company" in str(found.error_message)
