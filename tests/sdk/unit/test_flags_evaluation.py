from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.flags.definition import Flag, Split
from windsock.flags.evaluation import CompiledFlag, Evaluation, hash32

USERS = [f"user-{number}" for number in range(20_000)]
# Chi-square's upper critical values at 0.001 by degrees of freedom (NIST/SEMATECH handbook, 1.3.6.7.4):
# a fair split of other users would fail once in a thousand, and these users never change.
CRITICAL = {1: 10.828, 2: 13.816, 4: 18.467, 9: 27.877}


def chi_square(observed: list[int], expected: list[float]) -> float:
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))


def split_of(weights: Mapping[str, int], **fields: Any) -> CompiledFlag:
    variants = dict.fromkeys(weights, True)
    flag = {"key": "f", "type": "boolean", "variants": variants, "fallthrough": Split(weights)}
    return CompiledFlag(Flag(**{**flag, **fields}))


def assigned(flag: CompiledFlag) -> list[str | None]:
    return [flag.evaluate(user).variant for user in USERS]


@pytest.mark.parametrize(
    ("fields", "variant", "value", "reason"),
    [
        ({"fallthrough": "on"}, "on", True, "STATIC"),
        ({"fallthrough": "on", "enabled": False, "off_variant": "off"}, "off", False, "DISABLED"),
        ({"fallthrough": "on", "enabled": False}, None, None, "DISABLED"),
        ({}, None, None, "DEFAULT"),
    ],
)
@pytest.mark.parametrize("user", [None, "u-1"])
def test_what_is_the_same_for_all_needs_no_user(
    user: str | None, fields: dict[str, Any], variant: str | None, value: object, reason: str
) -> None:
    flag = CompiledFlag(
        Flag(key="f", type="boolean", variants={"on": True, "off": False}, **fields)
    )

    assert flag.evaluate(user) == Evaluation("f", variant, value, reason)


def test_a_split_without_a_user_is_an_error() -> None:
    evaluation = split_of({"on": 100}).evaluate(None)

    assert (evaluation.variant, evaluation.reason) == (None, "ERROR")
    assert evaluation.error_code == "TARGETING_KEY_MISSING"


def test_the_hash_is_that_of_the_format() -> None:
    # printf %s use_batch_generation:u-1 | b2sum --length 32
    assert f"{hash32('use_batch_generation:u-1'):08x}" == "bac7a7c8"


@given(
    user=st.text(st.characters(codec="utf-8")),
    weights=st.lists(st.integers(0, 1_000), min_size=1).filter(any),
)
def test_a_user_is_placed_by_the_hash_over_the_weights_in_their_order(
    user: str, weights: list[int]
) -> None:
    flag = split_of({str(index): weight for index, weight in enumerate(weights)}, salt="s")

    place = hash32(f"s:{user}") * sum(weights) >> 32

    index = 0
    while place >= weights[index]:
        place -= weights[index]
        index += 1
    assert flag.evaluate(user).variant == str(index)


@pytest.mark.parametrize(
    "weights",
    [[50, 50], [10, 90], [1, 999], [1] * 10, [3, 0, 5, 2]],
    ids=str,
)
def test_a_split_is_as_fair_as_its_weights(weights: list[int]) -> None:
    flag = split_of({str(index): weight for index, weight in enumerate(weights)})

    counts = Counter(assigned(flag))

    shares = {str(index): weight / sum(weights) for index, weight in enumerate(weights) if weight}
    assert counts.keys() == shares.keys()
    observed = [counts[name] for name in shares]
    expected = [share * len(USERS) for share in shares.values()]
    assert chi_square(observed, expected) < CRITICAL[len(shares) - 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"key": "use_batch_generation"}, {"key": "parallel_rag_searches"}),
        ({"key": "f", "salt": "spring"}, {"key": "f", "salt": "autumn"}),
        ({"key": "flag-1"}, {"key": "flag-2"}),
    ],
    ids=["keys", "salts", "keys that are alike"],
)
def test_splits_of_two_flags_are_independent(one: dict[str, str], other: dict[str, str]) -> None:
    weights = {"a": 50, "b": 30, "c": 20}

    first, second = assigned(split_of(weights, **one)), assigned(split_of(weights, **other))

    pairs, rows, columns = Counter(zip(first, second, strict=True)), Counter(first), Counter(second)

    cells = [(row, column) for row in weights for column in weights]
    observed = [pairs[cell] for cell in cells]
    expected = [rows[row] * columns[column] / len(USERS) for row, column in cells]
    assert chi_square(observed, expected) < CRITICAL[(len(weights) - 1) ** 2]


def test_equal_salts_give_equal_cohorts() -> None:
    weights = {"a": 50, "b": 50}

    assert assigned(split_of(weights, key="one", salt="s")) == assigned(
        split_of(weights, key="other", salt="s")
    )
