"""What metrics-svc has announced since the last evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts_svc.domain.rule import BurnRate, Rule

# Events that are older when their breach is seen did not cause it: a window has moved, or a rule is new.
FRESH_SECONDS = 120.0
MAX_OPERATIONS = 1_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """Data of these ``kinds`` and ``operations`` changed; ``None`` is any. Times are Unix seconds."""

    kinds: frozenset[str] | None = None
    operations: frozenset[str] | None = None
    latest_event_at: float | None = None
    latest_by_operation: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """The rules that an announced evaluation looks at; ``None`` is any."""

    kinds: frozenset[str] | None = None
    operations: frozenset[str] | None = None

    def concerns(self, rule: Rule) -> bool:
        """Return whether what changed may change what the rule says."""
        if self.kinds is not None and not self.kinds & _kinds(rule):
            return False
        wanted = dict(_filters(rule)).get("operation")
        return self.operations is None or wanted is None or not self.operations.isdisjoint(wanted)

    def joined(self, other: Scope) -> Scope:
        """Return the scope of both."""
        return Scope(_union(self.kinds, other.kinds), _union(self.operations, other.operations))


class News:
    """Collects announcements until an evaluation takes them; remembers the newest event of each operation."""

    def __init__(self) -> None:
        self._scope: Scope | None = None
        self._latest: float | None = None
        self._by_operation: dict[str, float] = {}

    def hear(self, announcement: Announcement) -> None:
        """Take note of an announcement."""
        scope = Scope(announcement.kinds, announcement.operations)
        self._scope = scope if self._scope is None else self._scope.joined(scope)
        if announcement.latest_event_at is not None:
            self._latest = max(self._latest or 0.0, announcement.latest_event_at)
        if len(self._by_operation) > MAX_OPERATIONS:
            self._by_operation.clear()
        for operation, at in announcement.latest_by_operation.items():
            self._by_operation[operation] = max(self._by_operation.get(operation, 0.0), at)

    @property
    def waiting(self) -> bool:
        """Whether something was announced that no evaluation has looked at."""
        return self._scope is not None

    def take(self) -> Scope | None:
        """Return what the next evaluation is about, and forget it."""
        scope, self._scope = self._scope, None
        return scope

    def latest(self, operation: str | None, *, wall: float) -> float | None:
        """Return when the newest event was that may have caused what is seen now, if it is known."""
        at = self._by_operation.get(operation) if operation is not None else self._latest
        return at if at is not None and wall - at <= FRESH_SECONDS else None


def _union(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    return None if a is None or b is None else a | b


def _kinds(rule: Rule) -> set[str]:
    condition = rule.condition
    if isinstance(condition, BurnRate):
        names = [condition.errors, condition.total]
    else:
        names = [condition.query.measure, condition.query.denominator or ""]
    return {name.partition(".")[0] for name in names if name}


def _filters(rule: Rule) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
    condition = rule.condition
    return condition.filters if isinstance(condition, BurnRate) else condition.query.filters
