"""Bodies decoded strictly: what is wrong is told with its path, and with what would have been right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from windsock_kit.decoding import located, reading_json
from windsock_kit.errors import InvalidError

MAX_NAME = 100
MAX_TEXT = 2_000

# A dollar sign would let a line break at the end pass.
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,99}\Z", max_length=MAX_NAME)]
LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}\Z", max_length=MAX_NAME)]
Short = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Labels = Annotated[dict[LabelName, Annotated[str, Meta(max_length=1_000)]], Meta(max_length=64)]
Annotations = Annotated[
    dict[LabelName, Annotated[str, Meta(max_length=4_000)]], Meta(max_length=64)
]

_SEGMENT = re.compile(r"\[[^\]]*\]|[^.\[]+")
# Each try reads the whole body again, so a long one is not searched for its wrong key.
_MAX_TRIED = 100
_MAX_SEARCHED_BYTES = 32 * 1024
_T = TypeVar("_T")


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Decode ``body``; raises ``BadRequestError`` for what is no JSON, ``InvalidError`` for what is not as expected."""
    try:
        with reading_json(body):
            found = decoder.decode(body)
    except InvalidError as error:
        raise _explained(error, decoder.type, _loose(body)) from None
    # What could be decoded may still be nested too deeply to be looked through.
    with reading_json(body):
        check_texts(msgspec.to_builtins(found))
    return found


def convert(value: object, to: type[_T]) -> _T:
    """Take a value that was read elsewhere (a file, a body in parts) as ``to``; raises ``InvalidError``."""
    try:
        found = msgspec.convert(value, to)
    except msgspec.ValidationError as error:
        detail, path = located(error)
        raise _explained(InvalidError(detail, path=path), to, value) from None
    return found


def check_texts(value: object, path: str = "") -> None:
    """Refuse U+0000 in any text, which PostgreSQL does not store."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidError("the character U+0000 is not allowed", path=path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_texts(key, path)
            check_texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            check_texts(inner, f"{path}[{index}]")


def within(error: InvalidError, parent: str) -> InvalidError:
    """Return the error with its path below ``parent``."""
    path = error.path or ""
    joined = parent + ("" if not path or path.startswith("[") else ".") + path
    return InvalidError(error.detail, path=joined, allowed=error.allowed, extra=error.extra)


def _explained(error: InvalidError, to: Any, given: Any) -> InvalidError:
    """Add which key it was, and what is allowed where the type says so."""
    path = _with_key(error.path or "", to, given)
    segments = _SEGMENT.findall(path)
    fields = "unknown field" in error.detail or "missing required field" in error.detail
    types = [inspect.type_info(to)]
    tags: Sequence[str] = ()
    for segment in segments[:-1] if fields else segments:
        tags = _tags(types, segment)
        types = [inner for each in types for inner in _inside(each, segment)]
    allowed = _fields(types) if fields else (tags or _words(types))
    return InvalidError(error.detail, path=path, allowed=list(dict.fromkeys(allowed)) or None)


def _loose(body: bytes) -> Any:
    if len(body) > _MAX_SEARCHED_BYTES:
        return None
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # A number that no float can hold is JSON all the same.
        return None


def _with_key(path: str, to: Any, given: Any) -> str:
    """Put the key in place of ``[...]``, which is all that msgspec tells: the one that is wrong when it is alone."""
    parent, dots, rest = path.partition("[...]")
    if not dots or given is None:
        return path
    found = given
    for segment in _SEGMENT.findall(parent):
        found = found[int(segment[1:-1]) if segment.startswith("[") else segment]
    entries = dict(found)
    for key in list(entries)[:_MAX_TRIED]:
        found.clear()
        found[key] = entries[key]
        try:
            msgspec.convert(given, to)
        except msgspec.ValidationError as error:
            if located(error)[1] == path:
                return f"{parent}.{key[:MAX_NAME]}{rest}"
    return path


def _plain(found: inspect.Type) -> Iterable[inspect.Type]:
    if isinstance(found, inspect.Metadata):
        yield from _plain(found.type)
    elif isinstance(found, inspect.UnionType):
        for each in found.types:
            yield from _plain(each)
    else:
        yield found


def _inside(found: inspect.Type, segment: str) -> Iterable[inspect.Type]:
    for each in _plain(found):
        if isinstance(each, inspect.StructType):
            yield from (f.type for f in each.fields if f.encode_name == segment)
        elif isinstance(each, inspect.ListType | inspect.VarTupleType):
            yield each.item_type
        elif isinstance(each, inspect.DictType):
            yield each.value_type


def _tags(types: Iterable[inspect.Type], segment: str) -> list[str]:
    structs = [s for t in types for s in _plain(t) if isinstance(s, inspect.StructType)]
    return [str(s.tag) for s in structs if s.tag_field == segment]


def _fields(types: Iterable[inspect.Type]) -> list[str]:
    structs = [s for t in types for s in _plain(t) if isinstance(s, inspect.StructType)]
    return [f.encode_name for s in structs for f in s.fields]


def _words(types: Iterable[inspect.Type]) -> list[str]:
    found: list[str] = []
    for each in (plain for t in types for plain in _plain(t)):
        if isinstance(each, inspect.LiteralType):
            found.extend(str(value) for value in each.values)
        elif isinstance(each, inspect.EnumType):
            found.extend(str(value.value) for value in each.cls)
        elif isinstance(each, inspect.NoneType):
            found.append("null")
    return found if found != ["null"] else []
