"""Messages: what one channel is told at once of one group. They are JSON in the store, so all is plain."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts_svc.domain.alert import Change
from alerts_svc.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class Details:
    """What helps to see what it means; each is ``None`` where it is not known.

    Shares are between 0 and 1; ``top`` are pairs of a name (model, gap priority or flag variant, in words) and its share
    of what is wrong.
    """

    operations: tuple[str, ...] = ()
    average_ms: float | None = None
    error_rate: float | None = None
    cost_per_hour_usd: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One alert of a message. Times are Unix seconds of the wall clock.

    ``change`` is ``None`` for an alert that is listed only because it is still firing, without news.
    """

    incident: str
    sequence: int
    change: Change | None
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    severity: Severity
    starts_at: float
    ends_at: float | None = None
    rule: str | None = None
    value: float | None = None
    threshold: float | None = None
    comparison: str = ""
    unit: str = ""
    window_seconds: int | None = None
    samples: float = 0.0
    acknowledged_by: str | None = None
    actions: tuple[str, ...] = ()
    generator_url: str = ""
    event_at: float | None = None
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Something that people changed in the application: a flag, a deployment. ``at`` is wall clock."""

    id: str
    kind: str
    name: str
    description: str
    author: str
    at: float


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one channel. ``id`` is the same for every attempt, and follows from what it tells.

    ``items`` hold at most ``MAX_ITEMS``, news first and the most severe of them first; ``truncated`` counts
    the rest. ``thread`` is the same for all messages of a group from its first alert until none is left.
    ``reason`` is one of ``first``, ``new``, ``escalated``, ``no_data``, ``reminder``, ``acknowledged``, ``resolved``,
    ``all_resolved``, ``test``, ``heartbeat``. ``told`` lists (incident, sequence) of each transition that this message is
    the telling of, truncated ones too. ``notice`` stands before all else: that another channel could not be told, and why.
    ``queue`` is what it keeps its order with beside its incidents, where that is less than its group.
    """

    id: str
    channel: str
    group_key: str
    group_labels: dict[str, str]
    thread: str
    reason: str
    created_at: float
    severity: Severity
    status: str
    items: tuple[Item, ...]
    told: tuple[tuple[str, int], ...]
    truncated: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    details: Details | None = None
    changes: tuple[ChangeEvent, ...] = ()
    notice: str = ""
    queue: str = ""


MAX_ITEMS = 100
