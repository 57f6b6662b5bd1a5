"""A flag as people write and read it, and the other items beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from flags_svc.domain.fields import (
    below,
    check_plain,
    fields_of,
    list_of,
    needed,
    object_of,
    refusing,
    text_of,
    whole_of,
    word_of,
    yes_or_no,
)
from flags_svc.domain.flag import Environment, InEnvironment, Kind, ManagedFlag
from flags_svc.domain.names import check_variants, environment_of, key_of, shown
from flags_svc.domain.stepping import schedule_document, schedule_of
from flags_svc.domain.times import instant
from flags_svc.domain.world import Item, ItemKind, Stored
from windsock.flags import reading, writing
from windsock.flags.definition import BOOLEAN, TARGETING_KEY, Segment
from windsock_kit.errors import InvalidError

Document = dict[str, Any]
R = TypeVar("R")
T = TypeVar("T", ManagedFlag, Segment, Environment)

LIFETIMES: Mapping[Kind, int | None] = {
    Kind.OPTIMIZATION: 40,
    Kind.EXPERIMENTAL: 40,
    Kind.ROLLOUT: 40,
    Kind.OPERATIONAL: 7,
    Kind.PERMISSION: None,
}
TYPES = ("boolean", "string", "integer", "float", "object")
MAX_NAME = 200
MAX_TAGS = 50
MAX_TAG = 100
MAX_VARIANTS = 1_000
MAX_DAYS = 36_500
MAX_APPROVALS = 10
# Answers carry them, and whoever changes an answer and sends it back may leave them in.
TOLD_ONLY = ("version", "revision", "created_at", "updated_at", "updated_by", "warnings")
_FLAG = (
    *("key", "type", "kind", "owner", "description", "tags", "lifetime_days"),
    *("variants", "default_variant", "off_variant", "prerequisites"),
    *("salt", "rollout_salt", "bucket_by", "archived", "environments"),
)
_IN_ENVIRONMENT = ("enabled", "targets", "rules", "fallthrough", "schedule")
_ENVIRONMENT = ("name", "description", "approvals")
_ON_OFF: Mapping[str, bool] = {"on": True, "off": False}


def flag_of(value: object, path: str = "", key: str | None = None) -> ManagedFlag:
    """Return the flag that is written at ``path``; raises ``InvalidError``.

    With ``key`` that is its key: it may be left out, and must not be another. What is only told,
    such as the version, is passed over.
    """
    check_plain(value, path)
    fields = fields_of(value, path, _FLAG, TOLD_ONLY)
    kind = word_of(fields.get("kind", Kind.ROLLOUT.value), below(path, "kind"), Kind)
    type_ = needed(fields, "type", path)
    if type_ not in TYPES:
        raise InvalidError(
            f"must be one of {', '.join(TYPES)}, got {shown(type_)}",
            path=below(path, "type"),
            allowed=TYPES,
        )
    variants = _variants(fields, type_, path)
    return ManagedFlag(
        key=_key(fields, path, key),
        type=type_,
        variants=variants,
        default_variant=_variant(fields, "default_variant", "on", type_, variants, path),
        off_variant=_variant(fields, "off_variant", "off", type_, variants, path),
        kind=kind,
        owner=text_of(fields.get("owner", ""), below(path, "owner"), MAX_NAME),
        description=text_of(fields.get("description", ""), below(path, "description")),
        tags=_tags(fields.get("tags", []), below(path, "tags")),
        lifetime_days=_lifetime(fields, kind, path),
        prerequisites=tuple(
            _read(reading.prerequisite_of, each, place)
            for place, each in list_of(
                fields.get("prerequisites", []), below(path, "prerequisites"), 100
            )
        ),
        salt=_salt(fields, "salt", path),
        rollout_salt=_salt(fields, "rollout_salt", path),
        bucket_by=text_of(
            fields.get("bucket_by", TARGETING_KEY), below(path, "bucket_by"), MAX_NAME, 1
        ),
        archived=yes_or_no(fields.get("archived", False), below(path, "archived")),
        environments=_environments(
            fields.get("environments", {}), variants, below(path, "environments")
        ),
    )


def document(flag: ManagedFlag) -> Document:
    """Return a flag as ``flag_of`` reads it: everything is said, what is default too."""
    return {
        "key": flag.key,
        "type": flag.type,
        "kind": flag.kind.value,
        "owner": flag.owner,
        "description": flag.description,
        "tags": list(flag.tags),
        "lifetime_days": flag.lifetime_days,
        "variants": dict(flag.variants),
        "default_variant": flag.default_variant,
        "off_variant": flag.off_variant,
        "prerequisites": [writing.prerequisite_document(each) for each in flag.prerequisites],
        "salt": flag.salt,
        "rollout_salt": flag.rollout_salt,
        "bucket_by": flag.bucket_by,
        "archived": flag.archived,
        "environments": {
            name: in_environment_document(each) for name, each in flag.environments.items()
        },
    }


def in_environment_document(what: InEnvironment) -> Document:
    """Return what a flag does in one environment."""
    fallthrough = what.fallthrough
    return {
        "enabled": what.enabled,
        "targets": [writing.target_document(each) for each in what.targets],
        "rules": [writing.rule_document(each) for each in what.rules],
        "fallthrough": None if fallthrough is None else writing.serve_document(fallthrough),
        "schedule": schedule_document(what.schedule),
    }


def segment_of(value: object, path: str = "", key: str | None = None) -> Segment:
    """Return the segment that is written at ``path``, as ``flag_of`` does."""
    check_plain(value, path)
    fields = {name: each for name, each in object_of(value, path).items() if name not in TOLD_ONLY}
    found = _key(fields, path, key)
    return _read(reading.segment_of, {**fields, "key": found}, path)


def segment_document(segment: Segment) -> Document:
    """Return a segment as ``segment_of`` reads it."""
    return dict(writing.segment_document(segment))


def environment_item_of(value: object, path: str = "", name: str | None = None) -> Environment:
    """Return the environment that is written at ``path``, as ``flag_of`` does."""
    check_plain(value, path)
    fields = fields_of(value, path, _ENVIRONMENT, TOLD_ONLY)
    found = environment_of(
        fields.get("name", name) if name is not None else needed(fields, "name", path),
        below(path, "name"),
    )
    _check_same(found, name, below(path, "name"))
    return Environment(
        found,
        text_of(fields.get("description", ""), below(path, "description")),
        whole_of(fields.get("approvals", 0), below(path, "approvals"), 0, MAX_APPROVALS),
    )


def environment_document(environment: Environment) -> Document:
    """Return an environment as ``environment_item_of`` reads it."""
    return {
        "name": environment.name,
        "description": environment.description,
        "approvals": environment.approvals,
    }


def item_of(kind: ItemKind, value: object, path: str = "", key: str | None = None) -> Item:
    """Return the item of ``kind`` that is written at ``path``; raises ``InvalidError``."""
    if kind == "flag":
        return flag_of(value, path, key)
    if kind == "segment":
        return segment_of(value, path, key)
    return environment_item_of(value, path, key)


def item_document(item: Item) -> Document:
    """Return an item as ``item_of`` reads it. The order of members counts: a split goes by it."""
    if isinstance(item, ManagedFlag):
        return document(item)
    if isinstance(item, Segment):
        return segment_document(item)
    return environment_document(item)


def view(stored: Stored[T]) -> Document:
    """Return an item as it is told, with when and by whom it came to be what it is."""
    return {
        **item_document(stored.item),
        "version": stored.version,
        "revision": stored.revision,
        "created_at": instant(stored.created_at),
        "updated_at": instant(stored.updated_at),
        "updated_by": stored.updated_by,
    }


def _read(reader: Callable[[object, str], R], value: object, path: str) -> R:
    with refusing():
        return reader(value, path)


def _key(fields: Mapping[str, Any], path: str, key: str | None) -> str:
    given = fields.get("key", key)
    if given is None:
        raise InvalidError("key is missing", path=below(path, "key"))
    found = key_of(given, below(path, "key"))
    _check_same(found, key, below(path, "key"))
    return found


def _check_same(found: str, wanted: str | None, path: str) -> None:
    if wanted is not None and found != wanted:
        raise InvalidError(f"it is that of the address, {wanted}, and cannot change", path=path)


def _variants(fields: Mapping[str, Any], type_: str, path: str) -> dict[str, object]:
    place = below(path, "variants")
    given = fields.get("variants", _ON_OFF if type_ == BOOLEAN else None)
    if given is None:
        raise InvalidError("variants is missing", path=place)
    if len(object_of(dict(given) if given is _ON_OFF else given, place)) > MAX_VARIANTS:
        raise InvalidError(f"at most {MAX_VARIANTS} variants are possible", path=place)
    check_variants(given, place)
    with refusing():
        return dict(reading.variants_of(dict(given), type_, place))


def _variant(
    fields: Mapping[str, Any],
    name: str,
    of_boolean: str,
    type_: str,
    variants: Collection[str],
    path: str,
) -> str:
    place = below(path, name)
    given = fields.get(name, of_boolean if type_ == BOOLEAN else None)
    if given is None:
        raise InvalidError(f"{name} is missing", path=place, allowed=[*variants])
    if not isinstance(given, str) or given not in variants:
        raise InvalidError(
            f"{shown(given)} is none of the variants", path=place, allowed=[*variants]
        )
    return given


def _tags(value: object, path: str) -> tuple[str, ...]:
    tags = (text_of(each, place, MAX_TAG, 1) for place, each in list_of(value, path, MAX_TAGS))
    return tuple(dict.fromkeys(tags))


def _lifetime(fields: Mapping[str, Any], kind: Kind, path: str) -> int | None:
    given = fields.get("lifetime_days", LIFETIMES[kind])
    return None if given is None else whole_of(given, below(path, "lifetime_days"), 1, MAX_DAYS)


def _salt(fields: Mapping[str, Any], name: str, path: str) -> str | None:
    given = fields.get(name)
    return None if given is None else text_of(given, below(path, name), MAX_NAME, 1)


def _environments(
    value: object, variants: Mapping[str, object], path: str
) -> dict[str, InEnvironment]:
    given = object_of(value, path)
    return {
        environment_of(name, path): in_environment_of(each, variants, below(path, name))
        for name, each in sorted(given.items())
    }


def in_environment_of(value: object, variants: Mapping[str, object], path: str) -> InEnvironment:
    """Return what a flag with ``variants`` does in one environment; raises ``InvalidError``."""
    fields = fields_of(value, path, _IN_ENVIRONMENT)
    targets = list_of(fields.get("targets", []), below(path, "targets"))
    rules = list_of(fields.get("rules", []), below(path, "rules"))
    fallthrough = fields.get("fallthrough")
    with refusing():
        return InEnvironment(
            enabled=yes_or_no(fields.get("enabled", False), below(path, "enabled")),
            targets=tuple(reading.target_of(each, variants, place) for place, each in targets),
            rules=tuple(reading.rule_of(each, variants, place) for place, each in rules),
            fallthrough=None
            if fallthrough is None
            else reading.serve_of(fallthrough, variants, below(path, "fallthrough")),
            schedule=schedule_of(fields.get("schedule", []), below(path, "schedule")),
        )
