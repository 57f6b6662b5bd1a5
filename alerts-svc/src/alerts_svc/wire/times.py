"""Times as they travel: RFC 3339 in UTC. Inside they are seconds; those of alerts are the service's own time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from alerts_svc.ports import Time
from windsock_kit.errors import InvalidError

FIRST_YEAR, LAST_YEAR = 1970, 9998
_LAST_MOMENT = datetime(LAST_YEAR, 12, 31, tzinfo=UTC).timestamp()
Moment = Annotated[datetime, Meta(tz=True)]


def instant(seconds: float | None) -> str | None:
    """Return Unix seconds as text, ``None`` as it is."""
    if seconds is None:
        return None
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def seconds_of(moment: datetime, path: str) -> float:
    """Return a time as Unix seconds; raises ``InvalidError`` for years that no clock shows."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidError(
            f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}",
            path=path,
            allowed=[f"{FIRST_YEAR} to {LAST_YEAR}"],
        )
    return moment.timestamp()


def bounded(moment: datetime) -> float:
    """Return a time as Unix seconds; what others mean by never is the last moment that can be told in every zone."""
    return min(moment.timestamp(), _LAST_MOMENT)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks at one moment, to tell times of the one by the other."""

    own: float
    wall: float

    @classmethod
    def of(cls, time: Time) -> Clocks:
        """Read both clocks."""
        return cls(time.own(), time.wall())

    def told(self, own: float | None) -> str | None:
        """Return a time of the service's own as the wall clock would have shown it."""
        return None if own is None else instant(self.outward(own))

    def outward(self, own: float) -> float:
        """Return a time of the service's own in wall clock time."""
        return own + (self.wall - self.own)

    def inward(self, wall: float) -> float:
        """Return a wall clock time in the service's own."""
        return wall - (self.wall - self.own)
