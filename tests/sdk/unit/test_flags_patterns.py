import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from windsock.flags.clauses import clause_of
from windsock.flags.conditions import holds_of
from windsock.flags.patterns import MAX_INPUT, MAX_PATTERN
from windsock.flags.reading import InvalidFlagsError


def matches(pattern: str, attribute: object) -> bool:
    clause = clause_of({"attribute": "x", "operator": "matches", "value": pattern}, "when")
    return holds_of(clause, {})(None, {"x": attribute})


def test_a_pattern_is_found_anywhere_in_a_text() -> None:
    assert matches("b+", "abbc")
    assert not matches("^b+$", "abbc")
    assert matches("", "")
    assert matches(r"^\p{Greek}+$", "αβγ")
    assert not matches(".", 5)
    assert matches("^a.c$", "a\ud800c")


@pytest.mark.parametrize(
    "pattern",
    ["(", "a**", "(?=a)", r"(a)\1", "(((a{100}){100}){100}){100}", "[z-a]", "a{1001}", r"\C{2,1}"],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFlagsError, match=r"^when\.value: is no regular expression of RE2"):
        matches(pattern, "")


@pytest.mark.parametrize("pattern", ["(a?){1000}" * 40, "(.{1,500}){2}", r"(\p{L}{1,9}){3}"])
def test_a_pattern_that_grows_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFlagsError, match="too large"):
        matches(pattern, "")


def test_a_long_pattern_is_refused() -> None:
    assert matches("a" * MAX_PATTERN, "a" * MAX_PATTERN)
    with pytest.raises(InvalidFlagsError, match="at most 512 characters"):
        matches("a" * (MAX_PATTERN + 1), "")


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "^(a|aa)*$", "(.*)*b$", "(x+x+)+y", "(a?){30}a{30}$"]
)
def test_a_pattern_that_takes_others_for_ever_is_answered(pattern: str) -> None:
    assert not matches(pattern, "a" * (MAX_INPUT - 1) + "!")


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert matches("b$", "a" * (MAX_INPUT - 1) + "b" + "c" * 10)
    assert not matches("c", "a" * MAX_INPUT + "c")


WITHOUT_RE2 = textwrap.dedent(
    """
    import json, sys
    sys.modules["re2"] = None
    from windsock.flags.evaluation import compile_set
    from windsock.flags.explaining import explain
    from windsock.flags.reading import read_document

    matching = {"attribute": "x", "operator": "matches", "value": "a"}
    usual = {"type": "boolean", "variants": {"on": True}, "fallthrough": {"variant": "on"}}
    def rule(when):
        return {"rules": [{"when": when, "serve": {"variant": "on"}}]}
    flags = compile_set(read_document(json.dumps({
        "flags": [
            {"key": "needs", **usual, **rule({"not": matching})},
            {"key": "nested", **usual, **rule({"segment": "outer"})},
            {"key": "off", **usual, **rule(matching), "enabled": False, "off_variant": "on"},
            {"key": "works", **usual, **rule({**matching, "operator": "equals"})},
        ],
        "segments": [
            {"key": "outer", "when": {"segment": "inner"}},
            {"key": "inner", "when": matching},
        ],
    }).encode()))
    print(json.dumps({
        "problems": flags.problems,
        "codes": {key: flag.evaluate("u", {}).error_code for key, flag in flags.items()},
        "explained": explain(flags, "needs", "u", {}).evaluation.error_code,
    }))
    """
)


def test_without_re2_only_flags_that_need_it_cannot_be_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RE2], capture_output=True, check=True, timeout=60
    )

    found: dict[str, Any] = json.loads(done.stdout)
    assert found["problems"] == {
        "needs": "needs windsock[flags]",
        "nested": "segment 'outer': segment 'inner': needs windsock[flags]",
        "off": "needs windsock[flags]",
    }
    assert found["codes"] == {
        "needs": "PARSE_ERROR",
        "nested": "PARSE_ERROR",
        "off": None,
        "works": None,
    }
    assert found["explained"] == "PARSE_ERROR"
