"""Query parameters: each known, given once, and of its form."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.datastructures import QueryParams

from windsock_kit.errors import InvalidError

MAX_TEXT = 500
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_Moment = Annotated[datetime, Meta(tz=True)]
_E = TypeVar("_E", bound=StrEnum)


class Parameters:
    """The parameters of one request; raises ``InvalidError`` for one that is not in ``allowed`` or is given twice."""

    def __init__(self, given: QueryParams, *allowed: str) -> None:
        for name in given:
            if name not in allowed:
                known = ", ".join(allowed) if allowed else "none"
                raise InvalidError(
                    f"unknown parameter {name[:50]!r}; allowed: {known}",
                    path=name[:50],
                    allowed=allowed,
                )
            if len(given.getlist(name)) > 1:
                raise InvalidError(f"{name} is given more than once", path=name)
        self._given = given

    def text(self, name: str) -> str | None:
        """Return a text of 1 to 500 characters."""
        found = self._given.get(name)
        if found is not None and (not 1 <= len(found) <= MAX_TEXT or "\0" in found):
            raise InvalidError(
                f"{name} must have 1 to {MAX_TEXT} characters, or be left out", path=name
            )
        return found

    def one_of(self, name: str, words: type[_E]) -> _E | None:
        """Return one of the words of an enumeration."""
        found = self._given.get(name)
        if found is None:
            return None
        allowed = [word.value for word in words]
        if found not in allowed:
            raise InvalidError(
                f"{name} must be one of {', '.join(allowed)}, got {found[:50]!r}",
                path=name,
                allowed=allowed,
            )
        return words(found)

    def limit(self, *, most: int = MAX_PAGE, default: int = DEFAULT_PAGE) -> int:
        """Return how many are wanted."""
        found = self.whole("limit", most=most)
        return min(default, most) if found is None else found

    def whole(self, name: str, *, most: int) -> int | None:
        """Return a whole number from 1."""
        text = self._given.get(name)
        if text is None:
            return None
        # ASCII digits only: int() would take "+5", "1_0" and other scripts' digits as well.
        if text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= most:
            return int(text)
        raise InvalidError(
            f"{name} must be a whole number from 1 to {most}, got {text[:50]!r}",
            path=name,
            allowed=[f"1 to {most}"],
        )

    def moment(self, name: str) -> float | None:
        """Return a time with an offset, as Unix seconds."""
        text = self._given.get(name)
        if text is None:
            return None
        try:
            # A plus sign that was not escaped arrives as a space.
            found: datetime = msgspec.convert(text.replace(" ", "+"), _Moment)
            if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
                raise msgspec.ValidationError
        except msgspec.ValidationError:
            raise InvalidError(
                f"{name} must be a time with an offset, got {text[:50]!r}",
                path=name,
                allowed=["RFC 3339, such as 2026-11-22T14:30:00Z"],
            ) from None
        return found.timestamp()


def no_parameters(given: QueryParams) -> None:
    """Refuse any parameter."""
    Parameters(given)


def check_stretch(begin: float | None, end: float | None, names: Sequence[str]) -> None:
    """Refuse a stretch of time that ends before it begins."""
    if begin is not None and end is not None and begin >= end:
        raise InvalidError(f"{names[0]} must be before {names[1]}", path=names[0])
