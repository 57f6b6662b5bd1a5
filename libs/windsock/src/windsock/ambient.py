"""Metadata that every event recorded inside a block carries, kept in a context variable."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from itertools import islice
from typing import TypeGuard, TypeVar

from windsock.fields import MAX_KEYS, MAX_NAME, Cleaner, Scalar

NAMES = ("user_id", "session_id", "gap_priority", "environment")
SLOT_CHARACTERS = 1024
_SMALL_ENTRIES = 8
_SMALL_TEXT = 100
_MAX_REMEMBERED = 1_024
_V = TypeVar("_V")


class Ambient:
    """A finished set of metadata. Nobody changes one: a nested block makes another.

    ``flags`` are those that were given, ``seen`` those that an evaluation for ``seen_by`` has put
    in; ``origin`` is what the block began with, if any were put in since. ``extra_slots`` is the
    room that it takes in the buffer beyond what any event has. ``fragment`` is its JSON, written
    by the encoder when it is first sent.
    """

    __slots__ = (
        "attributes",
        "extra_slots",
        "flags",
        "fragment",
        "names",
        "origin",
        "seen",
        "seen_by",
    )

    def __init__(
        self,
        names: dict[str, str],
        flags: dict[str, str],
        attributes: dict[str, Scalar],
        seen: dict[str, str] | None = None,
        seen_by: str | None = None,
    ) -> None:
        self.names = names
        self.flags = flags
        self.attributes = attributes
        self.seen = seen or {}
        self.seen_by = seen_by if seen else None
        self.origin: Ambient | None = None
        self.fragment: str | None = None
        self.extra_slots = _characters(names, flags, attributes, self.seen) // SLOT_CHARACTERS

    def all_flags(self) -> dict[str, str]:
        """Return the flags of an event: those that were given, and as many of the others as fit."""
        if not self.seen:
            return self.flags
        others = [item for item in self.seen.items() if item[0] not in self.flags]
        return {**dict(others[: MAX_KEYS - len(self.flags)]), **self.flags}


AMBIENT: ContextVar[Ambient | None] = ContextVar("windsock_ambient", default=None)
# The node or the request that runs here, for what knows no better name for its own events.
OPERATION: ContextVar[str | None] = ContextVar("windsock_operation", default=None)


def merged(base: Ambient | None, changes: Mapping[str, object], clean: Cleaner) -> Ambient:
    """Return ``base`` with ``changes`` on top.

    ``user_id``, ``session_id``, ``gap_priority``, ``environment``, ``flags`` and
    ``attributes`` are fields of an event; any other key is an attribute. ``None``
    leaves what ``base`` says.
    """
    base = base or EMPTY
    names, flags, attributes = base.names, base.flags, base.attributes
    loose: dict[str, object] = {}
    for key, value in clean.entries(changes, 2 * MAX_KEYS):
        if key in NAMES:
            name = clean.name(value)
            names = {**names, key: name} if name else names
        elif key == "flags":
            flags = _bounded(flags, clean.flags(value), clean) if value is not None else flags
        elif key == "attributes":
            given = clean.scalars(value) if value is not None else {}
            attributes = _bounded(attributes, given, clean)
        else:
            loose[key] = value
    if loose:
        attributes = _bounded(attributes, clean.scalars(loose), clean)
    # What one user has seen says nothing about another.
    seen = base.seen if base.seen_by is not None and _is_of(base.seen_by, names) else None
    return Ambient(names, flags, attributes, seen, base.seen_by)


def with_unit(
    base: Ambient | None,
    user_id: object,
    session_id: object,
    gap_priority: object,
    clean: Cleaner,
) -> Ambient | None:
    """Return ``base`` with whose work this is and how urgent, as ``merged`` does.

    Equal arguments get the same object, as long as it is remembered: making one, and its
    JSON, costs more than all else that a workflow's node records.
    """
    key = (base, user_id, session_id, gap_priority)
    # Anything may come here, and its ``__hash__`` and ``__eq__`` may raise whatever they like.
    try:
        return UNITS[key]
    except Exception:  # noqa: BLE001
        given = key[1:]
    changed = merged(base, dict(zip(NAMES, given, strict=False)), clean)
    ambient = base if changed.names == (base or EMPTY).names else changed
    # Other types than these may be equal and have another text; what is large is not kept.
    plain = all(value is None or (type(value) is str and len(value) <= MAX_NAME) for value in given)
    if plain and not changed.extra_slots:
        if len(UNITS) >= _MAX_REMEMBERED:
            UNITS.clear()
        UNITS[key] = ambient
    return ambient


def saw(ambient: Ambient, user: str, flag: str, variant: str | None) -> None:
    """Let what is recorded in this block from now on tell that ``user`` got ``variant``.

    ``None`` is none that tells anything, and forgets the one before. It does nothing where the
    block is another user's work, and where the application has given the flag itself.
    """
    if len(user) > MAX_NAME:
        user = Cleaner().text(user, MAX_NAME)
    if ambient.seen_by == user:
        if ambient.seen.get(flag) == variant:
            return
    elif variant is None and ambient.seen_by is None:
        return
    if flag in ambient.flags or not _is_of(user, ambient.names):
        return
    key = ambient, user, flag, variant
    inside = SEEN.get(key)
    if inside is None:
        inside = _with_seen(ambient, user, flag, variant)
        if len(SEEN) >= _MAX_REMEMBERED:
            SEEN.clear()
        SEEN[key] = inside
    AMBIENT.set(inside)


def latest(inside: Ambient, current: Ambient | None) -> Ambient:
    """Return what a block that began with ``inside`` has come to, as far as ``current`` tells."""
    return current if current is not None and _began(current) is _began(inside) else inside


def _began(ambient: Ambient) -> Ambient:
    return ambient.origin or ambient


def _with_seen(ambient: Ambient, user: str, flag: str, variant: str | None) -> Ambient:
    seen = {**ambient.seen} if ambient.seen_by == user else {}
    seen.pop(flag, None)
    if variant is not None:
        if len(seen) >= MAX_KEYS:
            return ambient
        seen[flag] = variant
    inside = Ambient(ambient.names, ambient.flags, ambient.attributes, seen, user)
    inside.origin = _began(ambient)
    return inside


def _is_of(user: str, names: Mapping[str, str]) -> bool:
    """Return whether work under ``names`` may be that of ``user``, who may be known by the session."""
    return user in (names.get("user_id", user), names.get("session_id"))


def metadata_of(
    metadata: object, context: Mapping[str, object] | None, clean: Cleaner
) -> Ambient | None:
    """Return the ambient metadata with the explicit on top, ``context`` over ``metadata``."""
    ambient = AMBIENT.get()
    if metadata is not None:
        ambient = merged(ambient, metadata, clean)  # type: ignore[arg-type]  # It checks.
    return merged(ambient, context, clean) if context else ambient


def left_to_sender(
    ambient: Ambient | None, metadata: object, context: dict[str, object]
) -> tuple[Ambient | None, dict[str, object] | None] | None:
    """Return the ambient metadata, and what the sender is to put on top of it.

    ``None`` tells that the explicit must be put there, and cleaned, at once.
    """
    if metadata is None and len(context) == 1 and "gap_priority" in context:
        clean = Cleaner()
        ambient = with_unit(ambient, None, None, context["gap_priority"], clean)
        return None if clean.truncated else (ambient, None)
    try:
        given = context if metadata is None else metadata
        if is_small(given) and (metadata is None or not context):
            return ambient, {**given}
    # Another thread changes it meanwhile.
    except Exception:  # noqa: BLE001
        return None
    return None


def is_small(metadata: object) -> TypeGuard[dict[str, object]]:
    """Return whether ``metadata`` is so plain that cleaning it can be left to the sender."""
    if type(metadata) is not dict or len(metadata) > _SMALL_ENTRIES:
        return False
    for key, value in metadata.items():
        if type(key) is not str or len(key) > _SMALL_TEXT:
            return False
        kind = type(value)
        if kind is str:
            if len(value) > _SMALL_TEXT:
                return False
        elif kind is not int and kind is not float and kind is not bool and value is not None:
            return False
    return True


def _bounded(base: dict[str, _V], changes: dict[str, _V], clean: Cleaner) -> dict[str, _V]:
    both = {**base, **changes}
    if len(both) <= MAX_KEYS:
        return both
    clean.truncated += 1
    return {**dict(islice(base.items(), MAX_KEYS - len(changes))), **changes}


def _characters(*parts: Mapping[str, Scalar]) -> int:
    return sum(
        len(key) + (len(value) if isinstance(value, str) else 8)
        for part in parts
        for key, value in part.items()
    )


# That of a block around which there is none: something can be put on top of it.
EMPTY = Ambient({}, {}, {})
# What ``with_unit`` made, by its arguments. Whoever is in a hurry may look here first.
UNITS: dict[tuple[Ambient | None, object, object, object], Ambient | None] = {}
# What ``saw`` made, likewise: a user mostly sees the same flags in the same order.
SEEN: dict[tuple[Ambient, str, str, str | None], Ambient] = {}
