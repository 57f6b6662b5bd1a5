"""How far back a suite takes events: found out before anything is sent that it would store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from loadgen.demo.story import DAY
from loadgen.ingest import Receipt

# The oldest hour begins up to an hour before the oldest day, and sending takes its time.
_MARGIN = timedelta(hours=1, minutes=15)
# No database keeps this character in a text, so every suite refuses the event, young or old.
_NEVER_TAKEN = "\0"


@dataclass(frozen=True, slots=True)
class Question:
    """A batch of which nothing is stored: an event for each number of days that could be meant.

    What a suite names as wrong with each is the answer: it looks at the time first.
    """

    events: Sequence[object]
    batch_id: UUID = field(default_factory=uuid4)
    due_seconds: float = 0.0


def how_far(days: int, now: datetime) -> Question:
    """Ask for the beginnings of one day of history, of two, and so on up to ``days``."""
    return Question(
        [
            {
                "type": "performance",
                "operation": _NEVER_TAKEN,
                "duration_ms": 0,
                "timestamp": now - number * DAY - _MARGIN,
            }
            for number in range(1, days + 1)
        ]
    )


def too_long(answer: Receipt, days: int) -> str | None:
    """Return what to do if the suite refuses the oldest of ``days`` days for its time, else None."""
    too_old = {each.index + 1 for each in answer.rejected if each.path == "timestamp"}
    if days not in too_old:
        return None
    fits = min(too_old) - 1
    needed = (days * DAY + _MARGIN).total_seconds()
    instead = f", or use --days {fits}" if fits else ""
    return (
        f"the suite takes no events that old, so --days {days} is too many: start metrics-svc with"
        f" METRICS_MAX_EVENT_AGE_SECONDS={needed:.0f} or more{instead}"
    )
