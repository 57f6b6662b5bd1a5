"""The JSON mapping of protobuf messages as OTLP changes it: hexadecimal ids, and enumerations as integers only.

``json_format`` of protobuf wants base64 ids and takes five times as long (measured on spans of ten attributes). Here
one table per message type, made from its descriptor, turns a decoded JSON object into the arguments of the message's
constructor.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

# What protobuf's own decoders allow for messages within messages.
MAX_DEPTH = 100

Convert = Callable[[Any, int], Any]

_HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class MalformedError(Exception):
    """A value does not fit its field; the message names the path to it."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def within(self, parent: str) -> MalformedError:
        return MalformedError(self.reason, f"{parent}.{self.path}" if self.path else parent)

    def __str__(self) -> str:
        return f"{self.path or 'the body'} {self.reason}"


def message_fields(descriptor: Descriptor, document: object) -> dict[str, Any]:
    """Return the constructor arguments of a message; unknown keys are left out, as OTLP demands."""
    return _message(descriptor, document, 0)


def _message(descriptor: Descriptor, document: object, depth: int) -> dict[str, Any]:
    if type(document) is not dict:
        raise MalformedError("must be an object")
    if depth >= MAX_DEPTH:
        raise MalformedError(f"is nested more than {MAX_DEPTH} deep")
    table = _table(descriptor)
    fields: dict[str, Any] = {}
    for key, value in document.items():
        entry = table.get(key)
        if entry is None or value is None:
            continue
        name, convert = entry
        try:
            fields[name] = convert(value, depth + 1)
        except MalformedError as error:
            raise error.within(key) from None
    return fields


@cache
def _table(descriptor: Descriptor) -> dict[str, tuple[str, Convert]]:
    return {field.json_name: (field.name, _converter(field)) for field in descriptor.fields}


def _converter(field: FieldDescriptor) -> Convert:
    one = _single(field)
    return partial(_repeated, one) if field.is_repeated else one


def _single(field: FieldDescriptor) -> Convert:
    if field.message_type is not None:
        return partial(_message, field.message_type)
    if field.cpp_type in _RANGES:
        textual = field.cpp_type != FieldDescriptor.CPPTYPE_ENUM
        return partial(_integer, *_RANGES[field.cpp_type], textual)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _hex if field.name in _HEX_FIELDS else _base64
    return {
        FieldDescriptor.CPPTYPE_STRING: _string,
        FieldDescriptor.CPPTYPE_BOOL: _boolean,
        FieldDescriptor.CPPTYPE_DOUBLE: _double,
    }[field.cpp_type]


def _repeated(one: Convert, value: object, depth: int) -> list[Any]:
    if type(value) is not list:
        raise MalformedError("must be an array")
    return [one(item, depth) for item in value]


def _integer(low: int, high: int, textual: bool, value: object, _depth: int) -> int:
    if type(value) is int:
        number = value
    elif type(value) is str and textual:
        number = _digits(value)
    elif type(value) is float and value.is_integer():
        number = int(value)
    else:
        raise MalformedError("must be an integer")
    if not low <= number <= high:
        raise MalformedError(f"must be between {low} and {high}")
    return number


def _digits(text: str) -> int:
    # int() also takes blanks, underscores and other scripts' digits, and is slow on endless ones.
    if len(text) > 20 or not text.isascii() or not text.removeprefix("-").isdigit():
        raise MalformedError("must be an integer")
    return int(text)


def _double(value: object, _depth: int) -> float:
    if type(value) not in (int, float, str):
        raise MalformedError("must be a number")
    try:
        return float(value)  # type: ignore[arg-type]  # the line above leaves three types
    except ValueError:
        raise MalformedError("must be a number") from None


def _boolean(value: object, _depth: int) -> bool:
    if type(value) is not bool:
        raise MalformedError("must be true or false")
    return value


def _string(value: object, _depth: int) -> str:
    if type(value) is not str:
        raise MalformedError("must be a string")
    return value


def _hex(value: object, _depth: int) -> bytes:
    """Return the id; what is no hexadecimal becomes empty, so that only its span is refused and not the batch."""
    try:
        return binascii.unhexlify(_string(value, 0))
    except ValueError:
        return b""


def _base64(value: object, _depth: int) -> bytes:
    text = _string(value, 0).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise MalformedError("must be base64") from None
