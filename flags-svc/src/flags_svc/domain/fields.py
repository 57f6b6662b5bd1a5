"""Parts of documents, read strictly: a mistake is refused with its path."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TypeVar

from flags_svc.domain.names import kind_shown, shown
from windsock.flags.shape import InvalidFlagsError
from windsock_kit.errors import InvalidError

# Beyond them not every reader of JSON keeps all digits.
MAX_WHOLE = (1 << 53) - 1
MAX_TEXT = 2_000
MAX_LIST = 1_000
_MAX_DEPTH = 64
_E = TypeVar("_E", bound=StrEnum)


@contextmanager
def refusing() -> Generator[None]:
    """Turn what the evaluator's reading refuses into what clients are told."""
    try:
        yield
    except InvalidFlagsError as error:
        raise InvalidError(
            error.detail, path=error.path, allowed=list(error.allowed) or None
        ) from None


def below(path: str, name: str) -> str:
    """Return the path of the member ``name`` of what is at ``path``."""
    return f"{path}.{name}" if path else name


def object_of(value: object, path: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise InvalidError(f"must be an object, got {kind_shown(value)}", path=path)
    return value


def fields_of(
    value: object, path: str, known: Collection[str], ignored: Collection[str] = ()
) -> dict[str, Any]:
    """Return an object of which each member must be in ``known``, without those in ``ignored``."""
    found = object_of(value, path)
    for name in found:
        if name not in known and name not in ignored:
            raise InvalidError(
                f"unknown field {shown(name)}", path=below(path, name[:100]), allowed=[*known]
            )
    return {name: each for name, each in found.items() if name in known}


def needed(fields: dict[str, Any], name: str, path: str) -> Any:
    """Return a member that must be there."""
    if name not in fields:
        raise InvalidError(f"{name} is missing", path=below(path, name))
    return fields[name]


def text_of(value: object, path: str, most: int = MAX_TEXT, least: int = 0) -> str:
    """Return a text of ``least`` to ``most`` characters."""
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise InvalidError(f"must be a text of {least} to {most} characters", path=path)
    return value


def yes_or_no(value: object, path: str) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise InvalidError(
            f"must be true or false, got {shown(value)}", path=path, allowed=["true", "false"]
        )
    return value


def whole_of(value: object, path: str, least: int, most: int) -> int:
    """Return a whole number between two others."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidError(
            f"must be a whole number from {least} to {most}, got {shown(value)}",
            path=path,
            allowed=[f"{least} to {most}"],
        )
    return value


def number_of(value: object, path: str, least: float, most: float) -> float:
    """Return a number between two others."""
    if type(value) not in {int, float} or not least <= value <= most:  # type: ignore[operator]  # It is one of both.
        allowed = f"{least:.12g} to {most:.12g}"
        raise InvalidError(
            f"must be a number from {allowed}, got {shown(value)}", path=path, allowed=[allowed]
        )
    return value  # type: ignore[return-value]  # As above.


def word_of(value: object, path: str, words: type[_E]) -> _E:
    """Return one of the words of an enumeration."""
    allowed = [word.value for word in words]
    if not isinstance(value, str) or value not in allowed:
        raise InvalidError(
            f"must be one of {', '.join(allowed)}, got {shown(value)}", path=path, allowed=allowed
        )
    return words(value)


def list_of(value: object, path: str, most: int = MAX_LIST) -> Iterable[tuple[str, Any]]:
    """Return the elements of a list, each with its path."""
    if not isinstance(value, list) or len(value) > most:
        raise InvalidError(f"must be a list of at most {most}", path=path)
    return [(f"{path}[{index}]", each) for index, each in enumerate(value)]


def check_plain(value: object, path: str, depth: int = 0) -> None:
    """Refuse what is JSON, but could not be kept or told again as it came."""
    if depth > _MAX_DEPTH:
        raise InvalidError(f"it is nested deeper than {_MAX_DEPTH}", path=path)
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for name, each in value.items():
            _check_text(name, path)
            check_plain(each, below(path, name[:100]), depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            check_plain(each, f"{path}[{index}]", depth + 1)
    elif isinstance(value, int | float):
        _check_number(value, path)


def _check_text(text: str, path: str) -> None:
    # PostgreSQL stores no NUL, and half a surrogate pair is no UTF-8.
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise InvalidError("half a surrogate pair is no character", path=path)
    if "\0" in text:
        raise InvalidError("the character U+0000 is not allowed", path=path)


def _check_number(number: float, path: str) -> None:
    if isinstance(number, int) and not -MAX_WHOLE <= number <= MAX_WHOLE:
        raise InvalidError(f"whole numbers lie within {MAX_WHOLE}", path=path)
    if not math.isfinite(number):
        raise InvalidError("it is too great a number", path=path)
