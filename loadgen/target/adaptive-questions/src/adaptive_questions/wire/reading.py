"""Reading JSON that strangers send: what is wrong is told with its place, and nothing gets big or deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from windsock_kit.decoding import located, reading_json
from windsock_kit.errors import InvalidError, TooLargeError

MAX_BODY_BYTES = 2**20
# What is said is written into prompts and keys again, and each library stops at a depth of its own.
MAX_DEPTH = 32
# Each little value costs some hundred bytes once it is decoded, so that many are refused before that.
MAX_VALUES = 50_000

_SHOWN = 200
_BLANK = "matching regex '\\\\S'"
_T = TypeVar("_T")
_anything = msgspec.json.Decoder(msgspec.Raw)


def decoded(
    decoder: msgspec.json.Decoder[_T], body: bytes, allowed: Mapping[str, Sequence[str]]
) -> _T:
    """Decode ``body``; ``allowed`` has what the last name of a path may be, where that is a list.

    Raises ``BadRequestError`` where it is no JSON, ``TooLargeError`` and ``InvalidError``.
    """
    if len(body) > MAX_VALUES and body.count(b",") > MAX_VALUES:
        raise TooLargeError(
            f"the body has over {MAX_VALUES} values",
            extra={"limit": "max_values"},
        )
    with reading_json(body):
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            # The decoder stops at the first wrong value, and what follows may be no JSON at all.
            _anything.decode(body)
            raise _invalid(error, allowed) from None


def _invalid(error: msgspec.ValidationError, allowed: Mapping[str, Sequence[str]]) -> InvalidError:
    detail, path = located(error)
    if detail.endswith(_BLANK):
        detail = "Expected text that is not blank"
    choices = allowed.get(path.rpartition(".")[2])
    if choices and detail.startswith("Invalid enum value"):
        detail = f"{detail[:_SHOWN]}; allowed: {', '.join(choices)}"
        return InvalidError(detail, path=path, allowed=choices)
    return InvalidError(detail[:_SHOWN], path=path[:_SHOWN])


def checked_document(document: Mapping[str, Any], path: str) -> None:
    """Refuse JSON that is nested over ``MAX_DEPTH`` levels deep."""
    inside = _too_deep(document, MAX_DEPTH)
    if inside is not None:
        detail = f"Expected at most {MAX_DEPTH} levels of nesting"
        raise InvalidError(detail, path=(path + inside)[:_SHOWN])


def _too_deep(value: Any, room: int) -> str | None:
    """Return where below ``value`` the level after the last allowed one begins."""
    if isinstance(value, dict):
        children = ((f".{key}", child) for key, child in value.items())
    elif isinstance(value, list):
        children = ((f"[{index}]", child) for index, child in enumerate(value))
    else:
        return None
    if room == 0:
        return ""
    for name, child in children:
        inside = _too_deep(child, room - 1)
        if inside is not None:
            return name + inside
    return None
