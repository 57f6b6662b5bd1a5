"""The operators of conditions: what values each takes, and how it holds an attribute against them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from windsock.flags import patterns
from windsock.flags.values import Version, address, instant, network, version, version_parts

# Tells of one value that is neither a list nor nothing.
Test = Callable[[Any], bool]

EXISTS = "exists"
MATCHES = "matches"
EQUALS = frozenset({"equals", "in"})


@dataclass(frozen=True, slots=True)
class Operator:
    """``wrong`` says what is wrong with a value, if anything; ``make`` prepares the test."""

    wrong: Callable[[object], str | None]
    make: Callable[[tuple[Any, ...], bool], Test]
    has_case: bool = False


def _equals(values: tuple[Any, ...], ignore_case: bool) -> Test:
    # In Python true is 1, in JSON it is not, so each type is held against its own.
    truths = frozenset(value for value in values if isinstance(value, bool))
    numbers = frozenset(value for value in values if not isinstance(value, bool | str))
    texts = frozenset(
        value.casefold() if ignore_case else value for value in values if isinstance(value, str)
    )

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return value in truths
        if isinstance(value, str):
            return (value.casefold() if ignore_case else value) in texts
        return isinstance(value, int | float) and value in numbers

    return test


def _contains(values: tuple[str, ...], ignore_case: bool) -> Test:
    if not ignore_case:
        return lambda value: isinstance(value, str) and any(each in value for each in values)
    folded = tuple(each.casefold() for each in values)

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        text = value.casefold()
        return any(each in text for each in folded)

    return test


def _affix_test(name: str) -> Callable[[tuple[str, ...], bool], Test]:
    holds = getattr(str, name)

    def make(values: tuple[str, ...], ignore_case: bool) -> Test:
        if not ignore_case:
            return lambda value: isinstance(value, str) and holds(value, values)
        folded = tuple(each.casefold() for each in values)
        return lambda value: isinstance(value, str) and holds(value.casefold(), folded)

    return make


def _order_test(
    read: Callable[[object], Any], holds: Callable[[Any, Any], bool]
) -> Callable[[tuple[object, ...], bool], Test]:
    def make(values: tuple[object, ...], _: bool) -> Test:
        bounds = tuple(read(each) for each in values)

        def test(value: Any) -> bool:
            found = read(value)
            return found is not None and any(holds(found, bound) for bound in bounds)

        return test

    return make


def _greater(found: Any, bound: Any) -> bool:
    return bool(found > bound)


def _greater_or_equal(found: Any, bound: Any) -> bool:
    return bool(found >= bound)


def _less(found: Any, bound: Any) -> bool:
    return bool(found < bound)


def _less_or_equal(found: Any, bound: Any) -> bool:
    return bool(found <= bound)


def _equal(found: Any, bound: Any) -> bool:
    return bool(found == bound)


def _range_test(fixed: Callable[[Version, int], int]) -> Callable[[tuple[str, ...], bool], Test]:
    def make(values: tuple[str, ...], _: bool) -> Test:
        bounds = []
        for each in values:
            found = version_parts(each)
            if found is not None:
                bounds.append((found[0], fixed(*found)))

        def test(value: Any) -> bool:
            found = version(value)
            return found is not None and any(
                found >= bound and found[:same] == bound[:same] for bound, same in bounds
            )

        return test

    return make


def _tilde(_: Version, given: int) -> int:
    return min(given, 2)


def _caret(bound: Version, given: int) -> int:
    """Return how many of major, minor and patch stay: up to the first that is not 0."""
    for index in range(given):
        if bound[index] != 0:
            return index + 1
    return given


def _networks(values: tuple[str, ...], _: bool) -> Test:
    networks = tuple(found for each in values if (found := network(each)) is not None)

    def test(value: Any) -> bool:
        found = address(value)
        if found is None:
            return False
        kind, number = found
        return any(kind == of and number & mask == first for of, first, mask in networks)

    return test


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _no_scalar(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return None if isinstance(value, str | int | float) else "must be a text, a number or a boolean"


def _no_text(value: object) -> str | None:
    return None if isinstance(value, str) else "must be a text"


def _no_number(value: object) -> str | None:
    number = _number(value)
    return None if number is not None and math.isfinite(number) else "must be a number"


def _no_time(value: object) -> str | None:
    found = instant(value) if isinstance(value, str | int | float) else None
    if found is not None and math.isfinite(found):
        return None
    return "must be a time as in RFC 3339, or seconds since 1970"


def _no_version(value: object) -> str | None:
    return "must be a version such as 1.2.3" if version(value) is None else None


def _no_network(value: object) -> str | None:
    return "must be a network such as 10.0.0.0/8 or ::1" if network(value) is None else None


def _takes_none(_: object) -> str | None:
    return "exists takes no values"


def _always(_: tuple[object, ...], __: bool) -> Test:
    return lambda _: True


OPERATORS: dict[str, Operator] = {
    "equals": Operator(_no_scalar, _equals, has_case=True),
    "in": Operator(_no_scalar, _equals, has_case=True),
    "contains": Operator(_no_text, _contains, has_case=True),
    "starts_with": Operator(_no_text, _affix_test("startswith"), has_case=True),
    "ends_with": Operator(_no_text, _affix_test("endswith"), has_case=True),
    MATCHES: Operator(patterns.wrong, patterns.test_of, has_case=True),
    "greater_than": Operator(_no_number, _order_test(_number, _greater)),
    "greater_or_equal": Operator(_no_number, _order_test(_number, _greater_or_equal)),
    "less_than": Operator(_no_number, _order_test(_number, _less)),
    "less_or_equal": Operator(_no_number, _order_test(_number, _less_or_equal)),
    "before": Operator(_no_time, _order_test(instant, _less)),
    "after": Operator(_no_time, _order_test(instant, _greater)),
    "semver_equals": Operator(_no_version, _order_test(version, _equal)),
    "semver_greater_than": Operator(_no_version, _order_test(version, _greater)),
    "semver_greater_or_equal": Operator(_no_version, _order_test(version, _greater_or_equal)),
    "semver_less_than": Operator(_no_version, _order_test(version, _less)),
    "semver_less_or_equal": Operator(_no_version, _order_test(version, _less_or_equal)),
    "semver_tilde": Operator(_no_version, _range_test(_tilde)),
    "semver_caret": Operator(_no_version, _range_test(_caret)),
    "in_cidr": Operator(_no_network, _networks),
    EXISTS: Operator(_takes_none, _always),
}
