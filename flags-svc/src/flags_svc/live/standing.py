"""How each process stands to the newest revision."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from flags_svc.live.event_id import EventId
from flags_svc.store.instances import Instance

# Processes say that they have a change within a second, if they have it.
LAG_SECONDS = 5.0
# Every process is heard of every ten seconds.
SILENT_SECONDS = 30.0


class Standing(StrEnum):
    """What is to be thought of a process."""

    CURRENT = "current"
    # Not there yet, or it has not said so.
    BEHIND = "behind"
    LAGGING = "lagging"
    # Ended, or cut off.
    SILENT = "silent"


def standing(
    instance: Instance, head: EventId, committed: Callable[[int], float | None], now: float
) -> Standing:
    """Return how a process stands, ``committed`` being when a revision was, if that is known."""
    if now - instance.last_seen > SILENT_SECONDS:
        return Standing.SILENT
    if instance.epoch == head.epoch and instance.revision >= head.revision:
        return Standing.CURRENT
    if instance.epoch != head.epoch:
        return Standing.LAGGING
    at = committed(instance.revision + 1)
    return Standing.LAGGING if at is None or now - at > LAG_SECONDS else Standing.BEHIND
