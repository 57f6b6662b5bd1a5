"""Matchers: Alertmanager's notation, and whole values matched in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.matcher import (
    MAX_MATCHERS,
    MAX_NAME,
    MAX_REGEX,
    MAX_VALUE,
    Matcher,
    MatcherError,
    matches_all,
    parse,
    parse_list,
)


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        pytest.param('a="b"', Matcher("a", "b"), id="equal"),
        pytest.param('a!="b"', Matcher("a", "b", is_equal=False), id="not equal"),
        pytest.param('a=~"b|c"', Matcher("a", "b|c", is_regex=True), id="regex"),
        pytest.param('a!~"b"', Matcher("a", "b", is_regex=True, is_equal=False), id="no regex"),
        pytest.param("a=b", Matcher("a", "b"), id="no quotes"),
        pytest.param("a=~5..", Matcher("a", "5..", is_regex=True), id="regex without quotes"),
        pytest.param("  a = b c  ", Matcher("a", "b c"), id="blanks"),
        pytest.param("a=", Matcher("a", ""), id="empty"),
        pytest.param('a=""', Matcher("a", ""), id="empty quotes"),
        pytest.param('{a="b"}', Matcher("a", "b"), id="braces"),
        pytest.param('{a="b",}', Matcher("a", "b"), id="last comma"),
        pytest.param('a="b,c=}"', Matcher("a", "b,c=}"), id="what separates, in quotes"),
        pytest.param(r'a="x\"y\\z\nw\d"', Matcher("a", 'x"y\\z\nw\\d'), id="escapes"),
        pytest.param('a="x\ny"', Matcher("a", "x\ny"), id="line feed"),
        pytest.param('"a b"="c"', Matcher("a b", "c"), id="quoted name"),
        pytest.param('größe="ß"', Matcher("größe", "ß"), id="letters of others"),
        pytest.param("a!~x{2}", Matcher("a", "x{2}", is_regex=True, is_equal=False), id="brace"),
    ],
)
def test_matcher_is_read(text: str, matcher: Matcher) -> None:
    assert parse(text) == matcher


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("{}", []),
        ("  {  }  ", []),
        ('{foo = "bar", dings != "bums", }', ["foo", "dings"]),
        ("foo=bar,dings!=bums", ["foo", "dings"]),
        ('a="x,y",b=~"z"', ["a", "b"]),
    ],
)
def test_list_of_matchers_is_read(text: str, names: list[str]) -> None:
    assert [matcher.name for matcher in parse_list(text)] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a", "does not begin with a matcher such as name", id="no operator"),
        pytest.param("=b", "does not begin with a matcher", id="no name"),
        pytest.param(",", "does not begin with a matcher", id="comma alone"),
        pytest.param('a="b",,', "does not begin with a matcher", id="comma twice"),
        pytest.param('""="b"', "the name of a label must not be empty", id="empty name"),
        pytest.param('a="b', "a comma was expected", id="open quote"),
        pytest.param('a="b" c="d"', "a comma was expected", id="no comma"),
        pytest.param('a=b"c', "a comma was expected", id="quote within"),
        pytest.param('{a="b"', "the closing brace is missing", id="open brace"),
        pytest.param('a=~"("', r"not a regular expression \(RE2\): missing \)", id="regex"),
        pytest.param(r'a=~"(x)\\1"', "not a regular expression", id="back reference"),
        pytest.param('a=~"(?=x)"', "not a regular expression", id="look ahead"),
        pytest.param('a=~"((x{99}){9}){9}"', "not a regular expression", id="too many repeats"),
        pytest.param(f"{'a' * (MAX_NAME + 1)}=b", "at most 256 characters", id="long name"),
        pytest.param(f"a={'b' * (MAX_VALUE + 1)}", "at most 4096 characters", id="long value"),
        pytest.param(f"a=~{'b' * (MAX_REGEX + 1)}", "at most 1024 characters", id="long regex"),
        pytest.param("a=b," * (MAX_MATCHERS + 1), "more than 64 matchers", id="too many"),
        pytest.param(" " * 300_000, "the matchers are too long", id="too long"),
        pytest.param("!" * 100, r"'!{40}…'", id="excerpt"),
    ],
)
def test_bad_matcher_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(MatcherError, match=message):
        parse_list(text)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a=b,c=d", 2)])
def test_one_matcher_is_one(text: str, count: int) -> None:
    with pytest.raises(MatcherError, match=f"there are {count}"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ("a=b", "b", True),
        ("a=b", "c", False),
        ("a!=b", "c", True),
        ("a!=b", "b", False),
        ("a=~b|cd", "cd", True),
        ("a=~b|cd", "bd", False),
        ("a=~b", "bb", False),
        ("a=~b", "b\n", False),
        ("a=~b$|^c", "c", True),
        ("a!~b.*", "bcd", False),
        ("a!~b.*", "cb", True),
        ("a=~.+", "two\nlines", True),
        ("a=~(?i)rain", "RAIN", True),
        ("a=~ü.", "üß", True),
    ],
)
def test_value_is_matched_whole(text: str, value: str, *, matches: bool) -> None:
    assert parse(text).matches({"a": value}) is matches


@pytest.mark.parametrize(
    ("text", "matches"), [("a=", True), ("a!=", False), ("a=~.*", True), ("a=~.+", False)]
)
def test_label_that_is_not_there_reads_as_empty(text: str, *, matches: bool) -> None:
    assert parse(text).matches({"b": "c"}) is matches


@pytest.mark.parametrize("value", ["\ud800", "\0", "\u202e", "a\r\nb"], ids=ascii)
def test_no_value_makes_matching_fail(value: str) -> None:
    assert parse("a=~.+").matches({"a": value})
    assert not parse("a=~x").matches({"a": value})


@pytest.mark.parametrize("text", ["\ud800", "a\0"], ids=ascii)
def test_what_no_label_can_have_is_refused(text: str) -> None:
    with pytest.raises(MatcherError, match="NUL and lone surrogates"):
        Matcher("a", text, is_regex=True)


def test_all_matchers_have_to_match() -> None:
    matchers = parse_list("a=b,c=d")

    assert matches_all(matchers, {"a": "b", "c": "d"})
    assert not matches_all(matchers, {"a": "b"})
    assert matches_all((), {})


def test_nested_repetition_takes_linear_time() -> None:
    matcher = parse('a=~"(x+x+)+y"')

    # An engine that goes back and forth would not end in the time that a test has.
    assert not matcher.matches({"a": "x" * 2000})


@given(
    name=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
    ),
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    is_equal=st.booleans(),
)
def test_what_is_written_is_read_back(name: str, value: str, *, is_equal: bool) -> None:
    matcher = Matcher(name, value, is_equal=is_equal)

    assert parse_list(f"{{{matcher}, b=~c}}") == (matcher, Matcher("b", "c", is_regex=True))


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        matchers = parse_list(text)
    except MatcherError:
        return

    assert all(matcher.name for matcher in matchers)
