"""The events that SDKs are sent."""

from __future__ import annotations

from collections.abc import Sequence

from flags_svc.domain.world import Change
from flags_svc.live import documents
from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica

# How long a client should wait before it connects again, in milliseconds.
RETRY = b"retry: 500\n"


class SdkEvents:
    """Implements ``hub.Events`` for the SDK: ``snapshot``, ``change`` and ``heartbeat``, all with an id.

    An event is kept until the next change: a thousand who follow are sent the same bytes.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._kept: dict[tuple[str, EventId | None], bytes] = {}
        replica.watchers.append(self._forget)

    def _forget(self, _: Sequence[Change]) -> None:
        self._kept.clear()

    def beginning(self, environment: str, last_event_id: str | None) -> bytes:
        """Return what a client lacks, or everything."""
        last = EventId.read(last_event_id or "")
        if last is None:
            return self._snapshot(environment)
        if last == self._replica.position:
            return RETRY + self.heartbeat(environment)
        return self.news(environment, last)

    def news(self, environment: str, since: EventId) -> bytes:
        """Return one change, or a snapshot to whom it would say too little."""
        key = (environment, since)
        if key not in self._kept:
            change = documents.change(self._replica, environment, since)
            if change is None:
                # Not kept: what clients say where they are may be anything.
                return self._snapshot(environment)
            self._kept[key] = self._event(b"change", change)
        return self._kept[key]

    def heartbeat(self, environment: str) -> bytes:
        """Return which revision this process is at."""
        return self._event(b"heartbeat", b'{"revision":%d}' % self._replica.revision)

    def _snapshot(self, environment: str) -> bytes:
        key = (environment, None)
        if key not in self._kept:
            told = self._event(b"snapshot", documents.snapshot(self._replica, environment))
            # Put together here, once: with a copy for each of thousands the memory would be full.
            self._kept[key] = RETRY + told
        return self._kept[key]

    def _event(self, name: bytes, data: bytes) -> bytes:
        event_id = self._replica.event_id.encode()
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id, name, data)
