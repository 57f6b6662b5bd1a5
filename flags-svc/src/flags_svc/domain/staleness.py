"""Which flags could go: pure, from how they were used and the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.world import Stored

DAY = 86_400.0
DEFAULT_DAYS = 14


class Reason(StrEnum):
    """Why a flag could go."""

    PAST_LIFETIME = "past_lifetime"
    NOT_EVALUATED = "not_evaluated"
    ONE_VARIANT = "one_variant"


@dataclass(frozen=True, slots=True)
class Used:
    """How often a flag gave a variant in an environment, and when it last did; ``None`` is the caller's default."""

    environment: str
    variant: str | None
    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a flag could go, with a sentence for each reason. ``last_evaluated_at`` is ``None`` if it never was in the time looked at."""

    key: str
    reasons: Mapping[Reason, str] = field(default_factory=dict)
    last_evaluated_at: float | None = None


def stale(
    flags: Iterable[Stored[ManagedFlag]],
    usage: Mapping[str, Sequence[Used]],
    *,
    at: float,
    days: int = DEFAULT_DAYS,
) -> list[Verdict]:
    """Return the flags that could go, by key.

    ``usage`` is, by flag, that of the last ``days`` before ``at``. What a flag did not do counts only
    when it has been there, and as it is, for so long. Archived flags are gone already.
    """
    found = [
        judge(stored, usage.get(stored.item.key, ()), at=at, days=days)
        for stored in flags
        if not stored.item.archived
    ]
    return sorted((each for each in found if each.reasons), key=lambda each: each.key)


def judge(
    stored: Stored[ManagedFlag], used: Sequence[Used], *, at: float, days: int = DEFAULT_DAYS
) -> Verdict:
    """Return whether and why a flag could go."""
    flag, begin = stored.item, at - days * DAY
    told = [each for each in used if each.count > 0]
    reasons: dict[Reason, str] = {}
    if flag.lifetime_days is not None and at > stored.created_at + flag.lifetime_days * DAY:
        age = int((at - stored.created_at) // DAY)
        reasons[Reason.PAST_LIFETIME] = (
            f"it is {age} days old, and was to live for {flag.lifetime_days}"
        )
    if not told and stored.created_at <= begin:
        reasons[Reason.NOT_EVALUATED] = f"it was not evaluated for {days} days"
    variants = {each.variant for each in told}
    if len(variants) == 1 and stored.updated_at <= begin:
        (variant,) = variants
        what = "the caller's default" if variant is None else repr(variant)
        total = sum(each.count for each in told)
        where = ", ".join(sorted({each.environment for each in told}))
        reasons[Reason.ONE_VARIANT] = (
            f"all {total} evaluations of the last {days} days gave {what} ({where})"
        )
    return Verdict(flag.key, reasons, max((each.last_at for each in told), default=None))
