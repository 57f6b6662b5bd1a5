"""The events that remote clients are sent: that they should ask again, never what they would hear."""

from __future__ import annotations

from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica
from flags_svc.ofrep.versions import Versions
from flags_svc.wire.ofrep import connected_event, refetch_event

# How long a client should wait before it connects again.
_RETRY_MILLISECONDS = 500
# A comment: clients do not see it, and proxies take the connection for one in use.
_HEARTBEAT = b":\n\n"


class OfrepEvents:
    """Implements ``live.hub.Events`` for OFREP's event streams."""

    def __init__(self, replica: Replica, versions: Versions) -> None:
        self._replica = replica
        self._versions = versions

    def beginning(self, environment: str, last_event_id: str | None) -> bytes:
        """Return an id for the client to remember, and to whom has missed something, or may have, that it should ask.

        Clients do not ask on their own when they come back.
        """
        first = connected_event(self._replica.event_id, _RETRY_MILLISECONDS)
        last = EventId.read(last_event_id or "")
        if last is not None and self._knows(environment, last):
            return first
        return first + refetch_event(self._replica.event_id)

    def news(self, environment: str, since: EventId) -> bytes:
        """Return that there is something new, if it is of this environment."""
        if self._knows(environment, since):
            return b""
        return refetch_event(self._replica.event_id)

    def heartbeat(self, environment: str) -> bytes:
        """Return what tells proxies that the connection stands."""
        return _HEARTBEAT

    def _knows(self, environment: str, last: EventId) -> bool:
        """Say whether who has asked at ``last`` has been told what is in force now."""
        since = self._versions.of(environment).since
        position = self._replica.position
        return last.epoch == since.epoch and since.revision <= last.revision <= position.revision
