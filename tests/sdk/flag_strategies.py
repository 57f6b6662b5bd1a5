"""Flags, segments and contexts of all shapes, for tests that hold for all of them."""

from __future__ import annotations

from typing import Any as AnyType

from hypothesis import strategies as st

from windsock.flags.definition import (
    EVERYBODY,
    All,
    Any,
    Clause,
    Condition,
    Flag,
    FlagSet,
    InSegment,
    Not,
    Prerequisite,
    Rollout,
    Rule,
    Segment,
    Serve,
    Split,
    Target,
)

USERS = ("u-1", "u-2", "u-3")
SEGMENTS = ("staff", "beta", "eu")
FLAGS = ("first", "second", "third")
VARIANTS = ("a", "b", "c")
ATTRIBUTES = ("plan", "age", "seen", "version", "ip", "user.country", "targetingKey")

texts = st.sampled_from(("", "pro", "Pro", "trial", "ß", "STRASSE", "u-1"))
numbers = st.one_of(st.integers(-3, 3), st.sampled_from((0.5, 1.0, 2.5, 1e300)))
times = st.sampled_from(("2026-01-01", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00.5+01:00", 0))
versions = st.sampled_from(("1", "v1.2", "1.2.3", "1.2.3-rc.1", "2.0.0", "0.3.1"))
networks = st.sampled_from(
    ("10.0.0.0/8", "10.1.2.3", "::1", "2001:db8::/32", "::ffff:10.0.0.0/104")
)
patterns = st.sampled_from(("^p", "o$", "[0-9]+", "", "(a|b)*"))
scalars = st.one_of(texts, numbers, st.booleans())

_VALUES: dict[str, st.SearchStrategy[AnyType]] = {
    **dict.fromkeys(("equals", "in"), scalars),
    **dict.fromkeys(("contains", "starts_with", "ends_with"), texts),
    "matches": patterns,
    **dict.fromkeys(("greater_than", "greater_or_equal", "less_than", "less_or_equal"), numbers),
    **dict.fromkeys(("before", "after"), times),
    **dict.fromkeys(
        (
            "semver_equals",
            "semver_greater_than",
            "semver_greater_or_equal",
            "semver_less_than",
            "semver_less_or_equal",
            "semver_tilde",
            "semver_caret",
        ),
        versions,
    ),
    "in_cidr": networks,
}
_WITH_CASE = ("equals", "in", "contains", "starts_with", "ends_with", "matches")


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    operator = draw(st.sampled_from(("exists", *_VALUES)))
    values = () if operator == "exists" else draw(st.lists(_VALUES[operator], max_size=3))
    return Condition(
        draw(st.sampled_from(ATTRIBUTES)),
        operator,
        tuple(values),
        draw(st.booleans()),
        operator in _WITH_CASE and draw(st.booleans()),
    )


def clauses(segments: tuple[str, ...] = SEGMENTS) -> st.SearchStrategy[Clause]:
    leaves: st.SearchStrategy[Clause] = conditions()
    if segments:
        leaves = st.one_of(leaves, st.sampled_from(segments).map(InSegment))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda each: All(tuple(each))),
            st.lists(inner, max_size=3).map(lambda each: Any(tuple(each))),
            inner.map(Not),
        ),
        max_leaves=4,
    )


splits = st.sampled_from(
    ({"a": 1}, {"a": 1, "b": 1}, {"b": 3, "a": 0, "c": 5}, {"c": 1 << 30, "a": 1})
).map(Split)
direct: st.SearchStrategy[str | Split] = st.one_of(st.sampled_from(VARIANTS), splits)
shares = st.one_of(st.integers(0, EVERYBODY), st.sampled_from((0, 1, 50_000, EVERYBODY)))
rollouts = st.builds(Rollout, shares, direct, st.sampled_from((None, *VARIANTS)))
serves: st.SearchStrategy[Serve] = st.one_of(direct, rollouts)
users = st.frozensets(st.sampled_from(USERS))


def flags(
    key: str, others: tuple[str, ...] = FLAGS, segments: tuple[str, ...] = SEGMENTS
) -> st.SearchStrategy[Flag]:
    """Return flags named ``key`` whose prerequisites are among ``others``."""
    prerequisites = st.builds(
        Prerequisite,
        st.sampled_from(others or ("missing",)),
        st.frozensets(st.sampled_from(VARIANTS), min_size=1),
    )
    return st.builds(
        Flag,
        key=st.just(key),
        type=st.just("string"),
        variants=st.just({"a": "one", "b": "other", "c": "third"}),
        enabled=st.sampled_from((True, True, True, False)),
        off_variant=st.sampled_from((None, "c")),
        fallthrough=st.none() | serves,
        prerequisites=st.lists(prerequisites, max_size=2).map(tuple),
        targets=st.lists(st.builds(Target, st.sampled_from(VARIANTS), users), max_size=2).map(
            tuple
        ),
        rules=st.lists(
            st.builds(Rule, clauses(segments), serves, st.sampled_from(("", "beta users"))),
            max_size=3,
        ).map(tuple),
        salt=st.sampled_from((None, "spring")),
        rollout_salt=st.sampled_from((None, "autumn")),
        bucket_by=st.sampled_from(("targetingKey", "plan", "user.country")),
    )


def segments(key: str, others: tuple[str, ...] = SEGMENTS) -> st.SearchStrategy[Segment]:
    return st.builds(
        Segment,
        st.just(key),
        users,
        users,
        st.none() | clauses(others),
        st.sampled_from(("", "who works here")),
    )


@st.composite
def flag_sets(draw: st.DrawFn) -> FlagSet:
    """Return sets in which nothing goes in a circle and all segments are there."""
    found_flags = {key: draw(flags(key, FLAGS[:index])) for index, key in enumerate(FLAGS)}
    found_segments = {
        key: draw(segments(key, SEGMENTS[:index])) for index, key in enumerate(SEGMENTS)
    }
    return FlagSet(found_flags, found_segments)


anything = st.one_of(
    st.none(),
    scalars,
    times,
    versions,
    st.sampled_from(("10.1.2.3", "::ffff:10.9.9.9", "fe80::1%eth0")),
    st.floats(),
    st.integers(),
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from(("country", "name")), scalars),
)
contexts = st.dictionaries(
    st.sampled_from(("plan", "age", "seen", "version", "ip", "user", "user.country")), anything
)
units = st.none() | st.sampled_from((*USERS, "u-4"))
