"""What a flag is: values, without how they are written or evaluated.

A set of flags is what one environment has at one revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

BOOLEAN = "boolean"
OBJECT = "object"
TARGETING_KEY = "targetingKey"
# Shares of users are whole thousandths of a percent: 100,000 are everybody.
EVERYBODY = 100_000


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute held against ``values``: any of them will do.

    Without the attribute, or with one of another type, it does not hold; ``negate`` turns the
    answer round, whatever it was. An attribute that is a list needs one element that holds.
    """

    attribute: str
    operator: str
    values: tuple[object, ...] = ()
    negate: bool = False
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Holds when all clauses do; without any it holds."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Holds when one of the clauses does; without any it does not."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when the clause does not."""

    clause: Clause


@dataclass(frozen=True, slots=True)
class InSegment:
    """Holds for who is in the segment of this key."""

    segment: str


Clause: TypeAlias = Condition | All | Any | Not | InSegment


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of the users by variant, as weights in the written order."""

    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A share of the users, in thousandths of a percent, gets ``serve``, the rest ``otherwise``.

    Who is in at one share is in at every greater one. ``otherwise`` is a variant, or ``None``
    for the flag's off variant.
    """

    share: int
    serve: str | Split
    otherwise: str | None = None


Serve: TypeAlias = str | Split | Rollout


@dataclass(frozen=True, slots=True)
class Target:
    """The variant that some users get whatever the rules say."""

    variant: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Another flag that must give one of ``variants``; else this flag gives its off variant."""

    flag: str
    variants: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What users get for whom ``when`` holds."""

    when: Clause
    serve: Serve
    name: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of users by key or by clause; ``excluded`` wins over both."""

    key: str
    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    when: Clause | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag in one environment.

    ``None`` as ``off_variant`` or ``fallthrough`` is the caller's own default. ``salt`` decides
    who gets which variant of a split, ``rollout_salt`` who is in a rollout; ``None`` derives both
    from the key. ``bucket_by`` is the attribute that is hashed.
    """

    key: str
    type: str
    variants: Mapping[str, object]
    enabled: bool = True
    off_variant: str | None = None
    fallthrough: Serve | None = None
    prerequisites: tuple[Prerequisite, ...] = ()
    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()
    salt: str | None = None
    rollout_salt: str | None = None
    bucket_by: str = TARGETING_KEY


@dataclass(frozen=True, slots=True)
class FlagSet:
    """The flags and segments of one environment at one revision, by key."""

    flags: Mapping[str, Flag] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
