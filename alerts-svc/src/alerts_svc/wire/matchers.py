"""Matchers as they travel: objects, or strings in Alertmanager's notation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts_svc.domain.matcher import Matcher, MatcherError, parse
from alerts_svc.wire.decoding import MAX_NAME
from windsock_kit.errors import InvalidError

Answer = dict[str, Any]


class MatcherBody(msgspec.Struct, forbid_unknown_fields=True):
    """A matcher, spelled out."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    value: Annotated[str, Meta(max_length=1_000)]
    is_regex: bool = False
    is_equal: bool = True


OneMatcher = Annotated[str, Meta(min_length=1, max_length=2_000)] | MatcherBody
MatcherBodies = Annotated[list[OneMatcher], Meta(max_length=50)]
SomeMatchers = Annotated[list[OneMatcher], Meta(min_length=1, max_length=50)]


def matchers_of(given: Sequence[str | MatcherBody], path: str) -> tuple[Matcher, ...]:
    """Return the matchers; raises ``InvalidError`` for one that cannot be read, or whose expression is wrong."""
    found: list[Matcher] = []
    for index, each in enumerate(given):
        try:
            found.append(_matcher(each))
        except MatcherError as error:
            raise InvalidError(
                str(error),
                path=f"{path}[{index}]",
                allowed=[
                    'name="value"',
                    'name!="value"',
                    'name=~"expression"',
                    'name!~"expression"',
                ],
            ) from None
    return tuple(found)


def _matcher(given: str | MatcherBody) -> Matcher:
    if isinstance(given, str):
        return parse(given)
    return Matcher(given.name, given.value, given.is_regex, given.is_equal)


def tell_matchers(matchers: Sequence[Matcher]) -> list[Answer]:
    """Return matchers as objects."""
    return [
        {"name": m.name, "value": m.value, "is_regex": m.is_regex, "is_equal": m.is_equal}
        for m in matchers
    ]
