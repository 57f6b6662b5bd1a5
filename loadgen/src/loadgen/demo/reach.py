"""How far back a suite takes events: found out before anything is sent that it would store."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from loadgen.ingest import Receipt

# The suite says the limit in days when it refuses an event for its age.
_LIMIT = re.compile(r"at most ([0-9.]+) days back")
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
# The oldest hour begins up to an hour before the oldest day, and sending takes its time.
_MARGIN = timedelta(hours=1, minutes=15)


@dataclass(frozen=True, slots=True)
class Question:
    """A batch with an event of 1970: every suite refuses it, and gives its limit as the reason."""

    batch_id: UUID = field(default_factory=uuid4)
    events: Sequence[object] = (
        {"type": "performance", "operation": "demo", "duration_ms": 0, "timestamp": _LONG_AGO},
    )
    due_seconds: float = 0.0


def too_long(answer: Receipt, days: int) -> str | None:
    """Return what to do if the suite refuses the oldest of ``days`` days, else None.

    A suite that words its refusal otherwise is believed to take everything; what it refuses all
    the same is counted.
    """
    found = _LIMIT.search(answer.rejected[0].detail) if answer.rejected else None
    if found is None:
        return None
    limit = timedelta(days=float(found[1]))
    needed = timedelta(days=days) + _MARGIN
    if needed <= limit:
        return None
    fits = (limit - _MARGIN) // timedelta(days=1)
    instead = f", or use --days {fits}" if fits > 0 else ""
    return (
        f"the suite takes events of the last {found[1]} days, too few for --days {days}: start"
        f" metrics-svc with METRICS_MAX_EVENT_AGE_SECONDS={needed.total_seconds():.0f} or more"
        f"{instead}"
    )
