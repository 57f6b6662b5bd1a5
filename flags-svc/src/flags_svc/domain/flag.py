"""A flag over all environments, as people manage it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from windsock.flags.definition import TARGETING_KEY, Prerequisite, Rule, Serve, Target


class Kind(StrEnum):
    """What a flag is for, which decides how long it is expected to live."""

    OPTIMIZATION = "optimization"
    EXPERIMENTAL = "experimental"
    ROLLOUT = "rollout"
    OPERATIONAL = "operational"
    PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a schedule: what changes, and when.

    Either ``at`` (seconds since 1970) or ``after_seconds`` (since the step before was done) is
    given. ``percentage`` is a share in thousandths of a percent. ``done_at`` is when it was done,
    ``None`` as long as it is to come.
    """

    at: float | None = None
    after_seconds: float | None = None
    enabled: bool | None = None
    percentage: int | None = None
    done_at: float | None = None


@dataclass(frozen=True, slots=True)
class InEnvironment:
    """What a flag does in one environment; ``fallthrough`` is ``None`` for the default variant."""

    enabled: bool = False
    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()
    fallthrough: Serve | None = None
    schedule: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedFlag:
    """A flag. In an environment that ``environments`` does not name it is disabled.

    ``lifetime_days`` is after how many days it should be gone, ``None`` for never.
    """

    key: str
    type: str
    variants: Mapping[str, object]
    default_variant: str
    off_variant: str
    kind: Kind = Kind.ROLLOUT
    owner: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    lifetime_days: int | None = None
    prerequisites: tuple[Prerequisite, ...] = ()
    salt: str | None = None
    rollout_salt: str | None = None
    bucket_by: str = TARGETING_KEY
    archived: bool = False
    environments: Mapping[str, InEnvironment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """A place that flags are in force in. ``approvals`` is how many others must agree to a change; 0 protects nothing."""

    name: str
    description: str = ""
    approvals: int = 0
