"""Reading what has the shape of JSON strictly: a mistake is refused with the path of what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

from windsock.fields import MAX_NAME

MAX_TEXT = 10_000
MAX_DEPTH = 32
# A whole number that any reader of JSON takes as it is (RFC 8259, section 6).
MAX_INTEGER = (1 << 53) - 1


class InvalidFlagsError(ValueError):
    """A definition of flags that cannot be used; the text begins with the path.

    ``allowed`` are the possible values, where it is one of a few.
    """

    def __init__(self, path: str, detail: str, allowed: Collection[str] = ()) -> None:
        super().__init__(f"{path}: {detail}" if path else detail)
        self.path = path
        self.detail = detail
        self.allowed = tuple(allowed)


def parsed(text: bytes) -> object:
    """Return the JSON in ``text``, in which no name is twice in one object."""
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except InvalidFlagsError:
        raise
    # The second is raised for brackets without end.
    except (ValueError, RecursionError) as error:
        raise InvalidFlagsError("", f"is no JSON: {error}") from None


def below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def fields_of(
    value: object, path: str, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the object ``value``, which has all ``required`` fields and no unknown one."""
    fields = object_of(value, path)
    for name in fields:
        if name not in required and name not in optional:
            raise InvalidFlagsError(below(path, str(name)[:MAX_NAME]), "is not known")
    for name in required:
        if name not in fields:
            raise InvalidFlagsError(below(path, name), "is missing")
    return fields


def object_of(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidFlagsError(path, "must be an object")
    return value


def list_of(value: object, path: str, most: int) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise InvalidFlagsError(path, "must be a list")
    if len(value) > most:
        raise InvalidFlagsError(path, f"must have at most {most} elements")
    return value if isinstance(value, list) else list(value)


def name_of(value: object, path: str, most: int = MAX_NAME) -> str:
    # What would have to be cleaned would have another name in the events.
    if not isinstance(value, str) or not 0 < len(value) <= most or not is_clean(value):
        raise InvalidFlagsError(path, f"must be a text of 1 to {most} characters")
    return value


def text_of(value: object, path: str, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most or not is_clean(value):
        raise InvalidFlagsError(path, f"must be a text of at most {most} characters")
    return value


def bool_of(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidFlagsError(path, "must be true or false")
    return value


def is_clean(text: str) -> bool:
    """Return whether every program can keep ``text``: not so a lone surrogate, nor NUL in PostgreSQL."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_json(value: object, depth: int = 0) -> bool:
    """Return whether ``value`` can be written as JSON and read again as the same."""
    if isinstance(value, str):
        return is_clean(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    if isinstance(value, float):
        return math.isfinite(value)
    if depth == MAX_DEPTH:
        return False
    if isinstance(value, list):
        return all(is_json(each, depth + 1) for each in value)
    return isinstance(value, dict) and all(
        isinstance(name, str) and is_clean(name) and is_json(each, depth + 1)
        for name, each in value.items()
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidFlagsError("", f"the name {twice!r} is twice in one object")
    return fields


def _no_constant(name: str) -> object:
    raise InvalidFlagsError("", f"{name} is no number of JSON")
