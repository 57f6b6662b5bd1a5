"""Attributes of spans as flat values within the bounds of an event."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from windsock.fields import MAX_KEYS, MAX_NAME
from windsock.integrations import _otel_names as names

Value = str | int | float | bool
Values = Mapping[str, Value]

_MAX_ITEMS = 32
# A resource describes a process with dozens of attributes; these tell one service from another.
_RESOURCE_NAMES = ("service.name", "service.version")


def read(attributes: Mapping[str, object] | None) -> dict[str, Value]:
    """Return the plain values by name; a list of them becomes text, what is empty is left out."""
    values: dict[str, Value] = {}
    for name, given in (attributes or {}).items():
        value = _plain(given)
        if value is not None and len(name) <= MAX_NAME:
            values[name] = value
    return values


def _plain(value: object) -> Value | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        items = value[:_MAX_ITEMS]
        if all(isinstance(item, str | int | float) for item in items):
            return ",".join(map(str, items)) or None
    return None


def clean(text: str, limit: int) -> str:
    """Return ``text`` without NUL, which no database would take, and cut to ``limit`` characters."""
    return text.replace("\0", "")[:limit]


def name_of(value: Value | None) -> str | None:
    """Return ``value`` as a name of an event, or ``None`` where nothing is left of it."""
    return None if value is None else clean(str(value), MAX_NAME) or None


def first(values: Values, candidates: Iterable[str]) -> Value | None:
    """Return the value of the first name that is there."""
    return next((values[name] for name in candidates if name in values), None)


def origin_of(values: Values) -> dict[str, str]:
    """Return environment, priority, user and session, as far as ``values`` name them."""
    found = {field: name_of(first(values, known)) for field, known in names.ORIGIN.items()}
    return {field: name for field, name in found.items() if name}


class Sorted:
    """The attributes of a span, sorted into what is recorded where."""

    def __init__(self, plain: dict[str, Value], *, calls: bool) -> None:
        self.plain = plain
        self.genai = plain.copy() if calls else None
        self.flags: dict[str, str] = {}

    def add(self, values: Values) -> None:
        """Take over what may be recorded: short, no content, within the bounds of an event."""
        for name, value in values.items():
            verdict = names.verdict(name)
            if verdict == names.DROP:
                continue
            if isinstance(value, str) and (verdict & names.NO_TEXT or len(value) > MAX_NAME):
                continue
            if verdict & names.FLAG:
                self.add_flag(name[len(names.FLAG_PREFIX) :], value)
                continue
            target = self.plain
            if self.genai is not None and verdict & names.GENAI:
                if verdict & names.FIELD:
                    continue
                target = self.genai
            if len(target) < MAX_KEYS:
                target[name] = value.replace("\0", "") if isinstance(value, str) else value

    def add_flag(self, key: Value | None, variant: Value | None) -> None:
        """Note that flag ``key`` had ``variant``; a boolean is spelt as in JSON."""
        flag = name_of(key)
        text = name_of(str(variant).lower() if isinstance(variant, bool) else variant)
        if flag and text and (len(self.flags) < MAX_KEYS or flag in self.flags):
            self.flags[flag] = text


def resource_attributes(resource: Values) -> dict[str, Value]:
    """Return what is recorded of a resource beside each of its events."""
    kept = {name: name_of(resource.get(name)) for name in _RESOURCE_NAMES}
    return {name: value for name, value in kept.items() if value}


def resource_flags(resource: Values) -> dict[str, Value]:
    """Return the flags that a resource names, which its spans inherit."""
    return {name: value for name, value in resource.items() if names.verdict(name) == names.FLAG}
