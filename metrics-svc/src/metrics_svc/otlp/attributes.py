"""Attributes of OTLP as flat values within the bounds of an event, and what they say of its surroundings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from metrics_svc.domain.event import DEFAULT_ENVIRONMENT, MAX_ATTRIBUTES, MAX_FLAGS, MAX_NAME
from metrics_svc.otlp import names

Scalar = str | int | float | bool
Values = Mapping[str, Scalar]

MAX_READ = 512
MAX_ITEMS = 32

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTEXT_NAMES = frozenset(
    {*names.GAP_PRIORITY, *names.USER_ID, *names.SESSION_ID, *names.ENVIRONMENT}
)
# A resource describes a process with dozens of attributes; these tell one service from another.
_RESOURCE_NAMES = ("service.name", "service.version")


def read(attributes: RepeatedCompositeFieldContainer[KeyValue]) -> dict[str, Scalar]:
    """Return the scalar attributes by name; lists of scalars become text, empty and nested values are left out."""
    values: dict[str, Scalar] = {}
    for pair in attributes[:MAX_READ]:
        name = pair.key
        if len(name) > MAX_NAME:
            continue
        value = pair.value
        # Nearly all are text or a number other than zero, and each access costs.
        scalar = value.string_value or value.int_value or _scalar(value)
        if scalar is not None:
            values[name] = scalar
    return values


def _scalar(value: AnyValue) -> Scalar | None:
    match value.WhichOneof("value"):
        case "int_value":
            return 0
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value if math.isfinite(value.double_value) else None
        case "array_value":
            return _joined(value.array_value)
        case _:
            return None


def _joined(array: ArrayValue) -> str | None:
    parts = []
    for item in array.values[:MAX_ITEMS]:
        kind = item.WhichOneof("value")
        if kind not in ("string_value", "int_value", "double_value", "bool_value"):
            return None
        parts.append(str(getattr(item, kind)))
    return ",".join(parts) or None


def clean(text: str, limit: int) -> str:
    """Return ``text`` without the NUL characters, which PostgreSQL refuses, and cut to ``limit`` characters."""
    if len(text) <= limit and "\0" not in text:
        return text
    return text[: 2 * limit].replace("\0", "")[:limit]


def name_of(value: Scalar | None) -> str | None:
    """Return ``value`` as a name of an event (1 to 200 characters), or ``None`` where nothing is left of it."""
    if value is None:
        return None
    return clean(value if type(value) is str else str(value), MAX_NAME) or None


def first(values: Values, candidates: Iterable[str]) -> Scalar | None:
    """Return the value of the first name that is there."""
    for name in candidates:
        value = values.get(name)
        if value is not None:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Origin:
    """What an event says beside its numbers. A resource's is the default of its spans and points."""

    environment: str = DEFAULT_ENVIRONMENT
    gap_priority: str | None = None
    user_id: str | None = None
    session_id: str | None = None

    def refined(self, values: Values) -> Origin:
        """Return the origin of something with attributes ``values`` within this one."""
        if _CONTEXT_NAMES.isdisjoint(values):
            return self
        return Origin(
            name_of(first(values, names.ENVIRONMENT)) or self.environment,
            name_of(first(values, names.GAP_PRIORITY)) or self.gap_priority,
            name_of(first(values, names.USER_ID)) or self.user_id,
            name_of(first(values, names.SESSION_ID)) or self.session_id,
        )


class Sorted:
    """The attributes of one span or point, sorted into what is stored where."""

    __slots__ = ("flags", "genai", "plain")

    def __init__(
        self, plain: dict[str, Scalar], genai: dict[str, Scalar] | None, flags: Values
    ) -> None:
        self.plain = plain
        self.genai = genai
        self.flags: dict[str, str] = {}
        for name, value in flags.items():
            self.add_flag(name.removeprefix(names.FLAG_PREFIX), value)

    def add(self, values: Values) -> None:
        """Take over what may be stored: short, no content, within the bounds of an event."""
        plain, genai = self.plain, self.genai
        for name, value in values.items():
            verdict = names.verdict(name)
            if verdict == names.DROP:
                continue
            if type(value) is str and (verdict & names.NO_TEXT or len(value) > MAX_NAME):
                continue
            if verdict & names.FLAG:
                self.add_flag(name[len(names.FLAG_PREFIX) :], value)
                continue
            target = plain
            if genai is not None and verdict & names.GENAI:
                if verdict & names.FIELD:
                    continue
                target = genai
            if len(target) < MAX_ATTRIBUTES:
                target[name] = value.replace("\0", "") if type(value) is str else value

    def add_flag(self, key: Scalar | None, variant: Scalar | None) -> None:
        """Note that flag ``key`` had ``variant``; a boolean is spelt as in JSON."""
        flag = name_of(key)
        text = name_of(str(variant).lower() if type(variant) is bool else variant)
        if flag and text and (len(self.flags) < MAX_FLAGS or flag in self.flags):
            self.flags[flag] = text


def resource_attributes(resource: Values) -> dict[str, Scalar]:
    """Return what is stored of a resource beside each of its events."""
    kept = {name: name_of(resource.get(name)) for name in _RESOURCE_NAMES}
    return {name: value for name, value in kept.items() if value}


def resource_flags(resource: Values) -> dict[str, Scalar]:
    return {name: value for name, value in resource.items() if names.verdict(name) == names.FLAG}


def nanoseconds(moment: datetime) -> int:
    """Return Unix nanoseconds, exactly to the microsecond that ``moment`` has."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def moment(nanoseconds: int) -> datetime:
    """Return the moment, rounded down to the microsecond."""
    # A float holds the microseconds of this century exactly enough: fromtimestamp rounds them to the same ones.
    return datetime.fromtimestamp(nanoseconds // 1_000 / 1e6, UTC)


def sentence(counted: Mapping[str, int], opening: str, *, at_most: int = 5) -> str:
    """Return ``opening`` and the commonest of the counted reasons, or nothing where there is none."""
    if not counted:
        return ""
    ranked: Sequence[tuple[str, int]] = sorted(counted.items(), key=lambda item: -item[1])
    return f"{opening}: " + "; ".join(f"{count} {reason}" for reason, count in ranked[:at_most])
