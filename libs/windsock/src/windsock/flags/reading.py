"""What a flag is, read strictly: a mistake is refused with the path of what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from typing import Any

from windsock.fields import MAX_NAME, Cleaner
from windsock.flags.definition import BOOLEAN, OBJECT, Flag, Split

# With at most so many, the product of a total and a 32-bit hash fits into 63 bits anywhere.
MAX_TOTAL_WEIGHT = (1 << 31) - 1


class InvalidFlagsError(ValueError):
    """A definition of flags that cannot be used; the text begins with the path."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}" if path else detail)


def read_flags(text: bytes) -> dict[str, Flag]:
    """Return the flags of a file by key. Raises ``InvalidFlagsError``."""
    try:
        document = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except InvalidFlagsError:
        raise
    # The second is raised for brackets without end.
    except (ValueError, RecursionError) as error:
        raise InvalidFlagsError("", f"is no JSON: {error}") from None
    fields = _fields(document, "", required={"flags"})
    if not isinstance(fields["flags"], list):
        raise InvalidFlagsError("flags", "must be a list")
    flags: dict[str, Flag] = {}
    for index, each in enumerate(fields["flags"]):
        path = f"flags[{index}]"
        flag = flag_of(each, path)
        if flag.key in flags:
            raise InvalidFlagsError(f"{path}.key", f"{flag.key!r} is there twice")
        flags[flag.key] = flag
    return flags


def flag_of(value: object, path: str) -> Flag:
    """Return the flag that ``value``, found at ``path``, defines. Raises ``InvalidFlagsError``."""
    fields = _fields(
        value,
        path,
        required={"key", "type", "variants"},
        optional={"enabled", "off_variant", "fallthrough", "salt", "description"},
    )
    kind = fields["type"]
    if not isinstance(kind, str) or kind not in _CONVERT:
        raise InvalidFlagsError(f"{path}.type", f"must be one of {', '.join(_CONVERT)}")
    variants = _variants(fields["variants"], kind, f"{path}.variants")
    off_variant, fallthrough = fields.get("off_variant"), fields.get("fallthrough")
    if off_variant is not None:
        _known(off_variant, variants, f"{path}.off_variant")
    if fallthrough is not None:
        fallthrough = _fallthrough(fallthrough, variants, f"{path}.fallthrough")
    enabled = fields.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidFlagsError(f"{path}.enabled", "must be true or false")
    if not isinstance(fields.get("description", ""), str):
        raise InvalidFlagsError(f"{path}.description", "must be a text")
    salt = fields.get("salt")
    return Flag(
        key=_name(fields["key"], f"{path}.key"),
        type=kind,
        variants=variants,
        enabled=enabled,
        off_variant=off_variant,
        fallthrough=fallthrough,
        salt=None if salt is None else _name(salt, f"{path}.salt"),
    )


def type_of(value: object) -> str | None:
    """Return the type of the flags whose values are like ``value``."""
    return next((kind for kind, convert in _CONVERT.items() if convert(value) is not None), None)


def _variants(value: object, kind: str, path: str) -> dict[str, object]:
    given = _object(value, path)
    if not given:
        raise InvalidFlagsError(path, "must have at least one variant")
    variants: dict[str, object] = {}
    for name, each in given.items():
        _name(name, path)
        variants[name] = _CONVERT[kind](each)
        if variants[name] is None:
            raise InvalidFlagsError(f"{path}.{name}", f"must be of type {kind}")
    return variants


def _fallthrough(value: object, variants: Collection[str], path: str) -> str | Split:
    fields = _fields(value, path, optional={"variant", "split"})
    if len(fields) != 1:
        raise InvalidFlagsError(path, "must have either variant or split")
    if "variant" in fields:
        return _known(fields["variant"], variants, f"{path}.variant")
    weights = _object(fields["split"], f"{path}.split")
    for name, weight in weights.items():
        _known(name, variants, f"{path}.split")
        if type(weight) is not int or weight < 0:
            raise InvalidFlagsError(f"{path}.split.{name}", "must be a whole number from 0")
    if not 1 <= sum(weights.values()) <= MAX_TOTAL_WEIGHT:
        raise InvalidFlagsError(f"{path}.split", f"must add up to 1 to {MAX_TOTAL_WEIGHT}")
    return Split(weights)


def _fields(
    value: object, path: str, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    fields = _object(value, path)
    for name in fields:
        if name not in required and name not in optional:
            raise InvalidFlagsError(f"{path}.{name}".lstrip("."), "is not known")
    for name in sorted(required):
        if name not in fields:
            raise InvalidFlagsError(f"{path}.{name}".lstrip("."), "is missing")
    return fields


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidFlagsError(path, "must be an object")
    return value


def _name(value: object, path: str) -> str:
    # What would have to be cleaned would have another name in the events.
    if not isinstance(value, str) or not value or Cleaner().text(value, MAX_NAME) != value:
        raise InvalidFlagsError(path, f"must be a text of 1 to {MAX_NAME} characters")
    return value


def _known(name: object, variants: Collection[str], path: str) -> str:
    if not isinstance(name, str) or name not in variants:
        raise InvalidFlagsError(path, f"{name!r} is none of the variants {', '.join(variants)}")
    return name


def _float(value: object) -> float | None:
    if type(value) is not int and type(value) is not float:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _of_type(wanted: type) -> Callable[[object], object]:
    return lambda value: value if type(value) is wanted else None


# Each returns the value of a variant, or ``None`` for what is not of the type.
_CONVERT: dict[str, Callable[[object], object]] = {
    BOOLEAN: _of_type(bool),
    "string": _of_type(str),
    "integer": _of_type(int),
    "float": _float,
    OBJECT: _of_type(dict),
}


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidFlagsError("", f"the name {twice!r} is twice in one object")
    return fields


def _no_constant(name: str) -> object:
    raise InvalidFlagsError("", f"{name} is no number of JSON")
