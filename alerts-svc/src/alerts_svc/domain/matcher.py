"""Matchers: conditions on labels, in Alertmanager's notation."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import re2  # type: ignore[import-untyped]

from alerts_svc.domain.labels import Labels

MAX_NAME = 256
MAX_VALUE = 4096
MAX_REGEX = 1024
MAX_MATCHERS = 64
# RE2 keeps to linear time by itself; this bounds the program that it compiles, and what it caches.
_MAX_MEMORY = 1 << 20

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_BARE_NAME = re.compile(r"""[^\s{}!=~,\\"']+""")
_MATCHER = re.compile(
    rf"""\s*({_BARE_NAME.pattern}|{_QUOTED})\s*(=~|!~|!=|=)\s*({_QUOTED}|[^",]*)\s*""", re.DOTALL
)
_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPE = re.compile(r'\\([n"\\])')
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherError(ValueError):
    """A matcher that cannot be; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name = value``, ``!=``, ``=~`` or ``!~``; a label that is not there reads as empty.

    Making one that is too long, or with a bad regular expression, raises ``MatcherError``.
    """

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise MatcherError("the name of a label must not be empty")
        if len(self.name) > MAX_NAME:
            raise MatcherError(f"the name of a label has at most {MAX_NAME} characters")
        limit = MAX_REGEX if self.is_regex else MAX_VALUE
        if len(self.value) > limit:
            kind = "regular expression" if self.is_regex else "value"
            raise MatcherError(f"the {kind} for {self.name!r} has at most {limit} characters")
        if _UNSTORABLE.search(self.name + self.value):
            raise MatcherError("NUL and lone surrogates are in no label")
        if self.is_regex:
            _compiled(self.value)

    def matches(self, labels: Labels) -> bool:
        """Return whether the label set satisfies the matcher; a regular expression must match whole values."""
        value = labels.get(self.name, "")
        if self.is_regex:
            found = _compiled(self.value).fullmatch(_encoded(value)) is not None
        else:
            found = value == self.value
        return found is self.is_equal

    def __str__(self) -> str:
        """Return the notation that ``parse`` reads."""
        operator = _OPERATORS[self.is_equal, self.is_regex]
        name = self.name if _BARE_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{operator}{_quoted(self.value)}"


def matches_all(matchers: Sequence[Matcher], labels: Labels) -> bool:
    """Return whether a label set satisfies every matcher; none at all match everything."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse(text: str) -> Matcher:
    r"""Read one matcher, such as ``operation=~"a|b"``; the value need not be quoted.

    In a value ``\n``, ``\"`` and ``\\`` are escapes, and any other backslash stands for itself.
    """
    matchers = parse_list(text)
    if len(matchers) != 1:
        raise MatcherError(f"one matcher was expected, and there are {len(matchers)}")
    return matchers[0]


def parse_list(text: str) -> tuple[Matcher, ...]:
    """Read matchers that are separated by commas, with or without braces around them."""
    if len(text) > MAX_MATCHERS * MAX_VALUE:
        raise MatcherError("the matchers are too long")
    body = _without_braces(text.strip())
    found: list[Matcher] = []
    position = 0
    while position < len(body):
        match = _MATCHER.match(body, position)
        if match is None:
            raise MatcherError(
                f'{_excerpt(body[position:])} does not begin with a matcher such as name="value"'
            )
        position = match.end()
        if position < len(body) and body[position] != ",":
            raise MatcherError(f"{_excerpt(body[position:])} follows a value; a comma was expected")
        position += 1
        if len(found) == MAX_MATCHERS:
            raise MatcherError(f"there are more than {MAX_MATCHERS} matchers")
        found.append(_matcher(match[1], match[2], match[3]))
    return tuple(found)


def _without_braces(text: str) -> str:
    if not text.startswith("{"):
        return text
    if not text.endswith("}"):
        raise MatcherError("the closing brace is missing")
    return text[1:-1].strip()


def _matcher(name: str, operator: str, value: str) -> Matcher:
    return Matcher(
        name=_unquoted(name),
        value=_unquoted(value.strip()),
        is_regex=operator.endswith("~"),
        is_equal=not operator.startswith("!"),
    )


def _unquoted(text: str) -> str:
    inner = text[1:-1] if text.startswith('"') else text
    return _ESCAPE.sub(lambda match: _ESCAPED[match[1]], inner)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _encoded(text: str) -> bytes:
    # As fingerprints have it, so that no label value can make matching fail.
    return text.encode(errors="replace")


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    options.never_capture = True
    # A line feed in a label must not get it past ``.*``.
    options.dot_nl = True
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = bytes(error.args[0]).decode(errors="replace")
        raise MatcherError(f"not a regular expression (RE2): {reason}") from None
