"""Names that stand twice in one object of JSON: readers differ in which of them counts, so neither does."""

from __future__ import annotations

# The other decoders say nothing of the members that they pass over.
import json  # noqa: TID251
from typing import Any, TypeAlias

from flags_svc.domain.fields import below
from windsock_kit.errors import BadRequestError, InvalidError

_Pairs: TypeAlias = list[tuple[str, Any]]


class _TwiceError(Exception):
    """Some name is there twice, wherever that is."""


class _Twice(_Pairs):
    """The members of an object in which a name is twice."""


def refuse_twice(body: bytes) -> None:
    """Raise ``InvalidError`` with the path of a name that is twice in one object of ``body``, which is JSON."""
    try:
        _read(body, _counted)
    except _TwiceError:
        # The decoder begins with the innermost objects, and knows no places.
        path = _place(_read(body, _held), "")
        assert path is not None
        raise InvalidError("the name is there twice", path=path) from None
    except (ValueError, RecursionError) as error:
        # What the other decoder lets pass.
        raise BadRequestError(f"the body is not JSON: {error}") from None


def _read(body: bytes, members: Any) -> Any:
    # As floats, numbers may have any number of digits.
    return json.loads(body.decode(), object_pairs_hook=members, parse_int=float, strict=False)


def _counted(pairs: _Pairs) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _TwiceError


def _held(pairs: _Pairs) -> dict[str, Any] | _Twice:
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else _Twice(pairs)


def _place(value: object, path: str) -> str | None:
    if isinstance(value, _Twice):
        names = [name for name, _ in value]
        return below(path, next(name for name in names if names.count(name) > 1)[:100])
    parts: list[tuple[str, object]] = []
    if isinstance(value, dict):
        parts = [(below(path, name[:100]), each) for name, each in value.items()]
    elif isinstance(value, list):
        parts = [(f"{path}[{index}]", each) for index, each in enumerate(value)]
    places = (_place(each, place) for place, each in parts)
    return next((place for place in places if place is not None), None)
