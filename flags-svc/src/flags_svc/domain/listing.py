"""Which flags somebody wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flags_svc.domain.flag import InEnvironment, Kind, ManagedFlag
from flags_svc.domain.world import Stored, World


class FlagType(StrEnum):
    """What all values of a flag are."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"


class Archived(StrEnum):
    """Whether archived flags are wanted."""

    NO = "false"
    YES = "true"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Sought:
    """What a flag must be to be listed; ``None`` where anything will do. ``text`` is in its key or description."""

    kind: Kind | None = None
    type: FlagType | None = None
    owner: str | None = None
    tag: str | None = None
    enabled_in: str | None = None
    disabled_in: str | None = None
    text: str | None = None
    archived: Archived = Archived.NO


_NOWHERE = InEnvironment()


def found(world: World, sought: Sought) -> Sequence[Stored[ManagedFlag]]:
    """Return the flags that are ``sought``, by key."""
    flags = (world.flags[key] for key in sorted(world.flags))
    return [stored for stored in flags if _fits(stored.item, sought)]


def _fits(flag: ManagedFlag, sought: Sought) -> bool:
    return (
        sought.archived in {Archived.ANY, Archived.YES if flag.archived else Archived.NO}
        and sought.kind in {None, flag.kind}
        and sought.type in {None, flag.type}
        and sought.owner in {None, flag.owner}
        and (sought.tag is None or sought.tag in flag.tags)
        and (sought.enabled_in is None or _enabled(flag, sought.enabled_in))
        and (sought.disabled_in is None or not _enabled(flag, sought.disabled_in))
        and (sought.text is None or _mentions(flag, sought.text.casefold()))
    )


def _enabled(flag: ManagedFlag, environment: str) -> bool:
    return not flag.archived and flag.environments.get(environment, _NOWHERE).enabled


def _mentions(flag: ManagedFlag, text: str) -> bool:
    return text in flag.key.casefold() or text in flag.description.casefold()
