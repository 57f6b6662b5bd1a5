"""What a flag is, read strictly: a mistake is refused with the path of what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from windsock.flags.clauses import clause_of
from windsock.flags.definition import (
    BOOLEAN,
    EVERYBODY,
    OBJECT,
    TARGETING_KEY,
    Flag,
    FlagSet,
    Prerequisite,
    Rollout,
    Rule,
    Segment,
    Serve,
    Split,
    Target,
)
from windsock.flags.references import refuse_wrong_references
from windsock.flags.shape import (
    MAX_INTEGER,
    InvalidFlagsError,
    below,
    bool_of,
    fields_of,
    is_clean,
    is_json,
    list_of,
    name_of,
    object_of,
    parsed,
    text_of,
)

__all__ = [
    "InvalidFlagsError",
    "clause_of",
    "flag_of",
    "prerequisite_of",
    "read_document",
    "rule_of",
    "segment_of",
    "serve_of",
    "target_of",
    "type_of",
    "variants_of",
]

# With at most so many, the product of a total and a 32-bit hash fits into 63 bits anywhere.
MAX_TOTAL_WEIGHT = (1 << 31) - 1
MAX_FLAGS = 100_000
MAX_RULES = 1_000
MAX_VARIANTS = 1_000
# So many variants a complaint names.
MAX_NAMED = 20
MAX_KEYS = 100_000
# A user's id may be longer than what people name.
MAX_KEY = 1_000


def read_document(text: bytes) -> FlagSet:
    """Return the flags and segments of a file. Raises ``InvalidFlagsError``.

    Also refused are unknown segments, and segments or prerequisites that go in a circle; a
    prerequisite that is not there is not, as it may come from elsewhere: it counts as unmet.
    """
    fields = fields_of(parsed(text), "", required=("flags",), optional=("segments",))
    flags: dict[str, Flag] = {}
    for index, each in _released(list_of(fields["flags"], "flags", MAX_FLAGS)):
        flag = flag_of(each, path := f"flags[{index}]")
        if flag.key in flags:
            raise InvalidFlagsError(f"{path}.key", f"{flag.key!r} is there twice")
        flags[flag.key] = flag
    segments: dict[str, Segment] = {}
    for index, each in _released(list_of(fields.get("segments", []), "segments", MAX_FLAGS)):
        segment = segment_of(each, path := f"segments[{index}]")
        if segment.key in segments:
            raise InvalidFlagsError(f"{path}.key", f"{segment.key!r} is there twice")
        segments[segment.key] = segment
    found = FlagSet(flags, segments)
    refuse_wrong_references(found)
    return found


def _released(values: list[Any]) -> Iterator[tuple[int, Any]]:
    """Yield the elements and let go of each, so that a great file is not in memory twice."""
    for index in range(len(values)):
        each, values[index] = values[index], None
        yield index, each


_OPTIONAL = frozenset(
    {
        "enabled",
        "off_variant",
        "fallthrough",
        "prerequisites",
        "targets",
        "rules",
        "salt",
        "rollout_salt",
        "bucket_by",
        "description",
    }
)


def flag_of(value: object, path: str) -> Flag:
    """Return the flag that ``value``, found at ``path``, defines. Raises ``InvalidFlagsError``."""
    fields = fields_of(value, path, required=("key", "type", "variants"), optional=_OPTIONAL)
    kind = type_named(fields["type"], below(path, "type"))
    variants = variants_of(fields["variants"], kind, below(path, "variants"))
    off_variant, fallthrough = fields.get("off_variant"), fields.get("fallthrough")
    if off_variant is not None:
        known(off_variant, variants, below(path, "off_variant"))
    if "description" in fields:
        text_of(fields["description"], below(path, "description"))
    return Flag(
        key=name_of(fields["key"], below(path, "key")),
        type=kind,
        variants=variants,
        enabled=bool_of(fields.get("enabled", True), below(path, "enabled")),
        off_variant=off_variant,
        fallthrough=None
        if fallthrough is None
        else serve_of(fallthrough, variants, below(path, "fallthrough")),
        prerequisites=_each(fields, path, "prerequisites", prerequisite_of),
        targets=_each(
            fields, path, "targets", lambda value, path: target_of(value, variants, path)
        ),
        rules=_each(fields, path, "rules", lambda value, path: rule_of(value, variants, path)),
        salt=_name_or_none(fields, path, "salt"),
        rollout_salt=_name_or_none(fields, path, "rollout_salt"),
        bucket_by=name_of(fields.get("bucket_by", TARGETING_KEY), below(path, "bucket_by")),
    )


def segment_of(value: object, path: str) -> Segment:
    """Return the segment that ``value`` defines. Raises ``InvalidFlagsError``."""
    optional = ("description", "included", "excluded", "when")
    fields = fields_of(value, path, required=("key",), optional=optional)
    when = fields.get("when")
    return Segment(
        key=name_of(fields["key"], below(path, "key")),
        included=_keys_of(fields.get("included", []), below(path, "included")),
        excluded=_keys_of(fields.get("excluded", []), below(path, "excluded")),
        when=None if when is None else clause_of(when, below(path, "when")),
        description=text_of(fields.get("description", ""), below(path, "description")),
    )


def prerequisite_of(value: object, path: str) -> Prerequisite:
    fields = fields_of(value, path, required=("flag", "variants"))
    variants = below(path, "variants")
    given = list_of(fields["variants"], variants, MAX_RULES)
    if not given:
        raise InvalidFlagsError(variants, "must have at least one variant")
    return Prerequisite(
        name_of(fields["flag"], below(path, "flag")),
        frozenset(name_of(each, f"{variants}[{index}]") for index, each in enumerate(given)),
    )


def target_of(value: object, variants: Collection[str], path: str) -> Target:
    fields = fields_of(value, path, required=("variant", "keys"))
    return Target(
        known(fields["variant"], variants, below(path, "variant")),
        _keys_of(fields["keys"], below(path, "keys")),
    )


def rule_of(value: object, variants: Collection[str], path: str) -> Rule:
    fields = fields_of(value, path, required=("when", "serve"), optional=("name",))
    return Rule(
        clause_of(fields["when"], below(path, "when")),
        serve_of(fields["serve"], variants, below(path, "serve")),
        text_of(fields.get("name", ""), below(path, "name")),
    )


def serve_of(value: object, variants: Collection[str], path: str) -> Serve:
    """Return what ``value`` says users get, of a flag with ``variants``."""
    fields = fields_of(value, path, optional=("variant", "split", "rollout"))
    if len(fields) != 1:
        raise InvalidFlagsError(path, "must have either variant or split or rollout")
    if "rollout" in fields:
        return _rollout_of(fields["rollout"], variants, below(path, "rollout"))
    return _direct_of(fields, variants, path)


def _direct_of(fields: Mapping[str, Any], variants: Collection[str], path: str) -> str | Split:
    if "variant" in fields:
        return known(fields["variant"], variants, below(path, "variant"))
    return _split_of(fields["split"], variants, below(path, "split"))


def _split_of(value: object, variants: Collection[str], path: str) -> Split:
    weights = object_of(value, path)
    for name, weight in weights.items():
        known(name, variants, path)
        if type(weight) is not int or weight < 0:
            raise InvalidFlagsError(below(path, name), "must be a whole number from 0")
    if not 1 <= sum(weights.values()) <= MAX_TOTAL_WEIGHT:
        raise InvalidFlagsError(path, f"must add up to 1 to {MAX_TOTAL_WEIGHT}")
    return Split(weights)


def _rollout_of(value: object, variants: Collection[str], path: str) -> Rollout:
    fields = fields_of(
        value, path, required=("percentage",), optional=("variant", "split", "otherwise")
    )
    if ("variant" in fields) == ("split" in fields):
        raise InvalidFlagsError(path, "must have either variant or split")
    otherwise = fields.get("otherwise")
    if otherwise is not None:
        known(otherwise, variants, below(path, "otherwise"))
    share = share_of(fields["percentage"], below(path, "percentage"))
    return Rollout(share, _direct_of(fields, variants, path), otherwise)


def share_of(value: object, path: str) -> int:
    """Return the thousandths of a percent that the percentage ``value`` is."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        share = round(value * 1000)
        # Both are the double next to the same decimal fraction, or it is no whole thousandth.
        if share / 1000 == value:
            return min(share, EVERYBODY)
    raise InvalidFlagsError(path, "must be a number from 0 to 100 in steps of 0.001")


def variants_of(value: object, kind: str, path: str) -> dict[str, object]:
    """Return the variants, each with a value of the flag's type ``kind``."""
    given = object_of(value, path)
    if not given:
        raise InvalidFlagsError(path, "must have at least one variant")
    if len(given) > MAX_VARIANTS:
        raise InvalidFlagsError(path, f"must have at most {MAX_VARIANTS} variants")
    convert = _CONVERT[kind]
    variants: dict[str, object] = {}
    for name, each in given.items():
        name_of(name, path)
        variants[name] = convert(each)
        if variants[name] is None:
            raise InvalidFlagsError(below(path, name), f"must be of type {kind}")
    return variants


def type_named(value: object, path: str) -> str:
    """Return the name of a type of flags that ``value`` is."""
    if not isinstance(value, str) or value not in _CONVERT:
        raise InvalidFlagsError(path, f"must be one of {', '.join(_CONVERT)}", tuple(_CONVERT))
    return value


def type_of(value: object) -> str | None:
    """Return the type of the flags whose values are like ``value``."""
    return next((kind for kind, convert in _CONVERT.items() if convert(value) is not None), None)


def known(name: object, variants: Collection[str], path: str) -> str:
    """Return ``name``, which must be one of ``variants``."""
    if not isinstance(name, str) or name not in variants:
        first = ", ".join(list(variants)[:MAX_NAMED])
        detail = f"{name!r:.200} is none of the variants {first}"
        raise InvalidFlagsError(path, detail, tuple(variants))
    return name


def _each(
    fields: Mapping[str, Any], path: str, name: str, read: Callable[[object, str], Any]
) -> tuple[Any, ...]:
    if name not in fields:
        return ()
    given = list_of(fields[name], path := below(path, name), MAX_RULES)
    return tuple(read(each, f"{path}[{index}]") for index, each in enumerate(given))


def _keys_of(value: object, path: str) -> frozenset[str]:
    given = list_of(value, path, MAX_KEYS)
    return frozenset(name_of(each, f"{path}[{index}]", MAX_KEY) for index, each in enumerate(given))


def _name_or_none(fields: Mapping[str, Any], path: str, name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else name_of(value, below(path, name))


def _float(value: object) -> float | None:
    if type(value) is not int and type(value) is not float:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    return value if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER else None


# Each returns the value of a variant, or ``None`` for what is not of the type.
_CONVERT: dict[str, Callable[[object], object]] = {
    BOOLEAN: lambda value: value if isinstance(value, bool) else None,
    "string": lambda value: value if isinstance(value, str) and is_clean(value) else None,
    "integer": _integer,
    "float": _float,
    OBJECT: lambda value: value if isinstance(value, dict) and is_json(value) else None,
}
