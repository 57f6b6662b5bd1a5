"""A store in memory that writes down what is committed to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alerts_svc.domain.alert import Change
from alerts_svc.domain.message import Message
from alerts_svc.domain.severity import rank
from alerts_svc.domain.world import Changes
from alerts_svc.ports import Lease, Result, Retry
from tests.alerts_svc.memory import LeaseRow, MemoryStore
from tests.alerts_svc.simulation.history import (
    Committed,
    Decided,
    Direct,
    Disabled,
    GivenUp,
    History,
    PutOff,
    Queued,
    Taken,
    Telling,
)


class RecordingStore(MemoryStore):
    """``now`` is the true time; ``clock``, the database's, may be set."""

    def __init__(
        self, *, now: Callable[[], float], clock: Callable[[], float], history: History
    ) -> None:
        super().__init__(clock=clock)
        self._now = now
        self._history = history
        self._commits = 0
        self._direct: set[str] = set()

    def campaign(self, owner: str, *, ttl: float, own: float | None) -> LeaseRow | None:
        before = self.lease
        row = super().campaign(owner, ttl=ttl, own=own)
        if row is not None and (before is None or before.fence != row.fence):
            self._history.events.append(Taken(self._now(), owner, row.fence))
        return row

    def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        known = len(self.outbox)
        super().commit(lease, changes, revision=revision)
        self._commits += 1
        now, events, commit = self._now(), self._history.events, self._commits
        severities = {
            alert.incident.id: rank(alert.incident.severity)
            for alert in changes.alerts
            if alert.incident is not None
        }
        for made in changes.transitions:
            events.append(
                Committed(
                    now,
                    commit,
                    made.at,
                    made.incident,
                    made.fingerprint,
                    made.sequence,
                    made.change,
                    made.reason,
                )
            )
        for decision in changes.decisions:
            events.append(
                Decided(
                    now,
                    commit,
                    decision.at,
                    decision.incident,
                    decision.fingerprint,
                    decision.change,
                    decision.outcome,
                    decision.reason,
                    severities.get(decision.incident, 0),
                )
            )
        if len(self.outbox) > known:
            self._queued(changes.messages, instead=False)

    def told_directly(self, message: Message) -> None:
        """Note a message that does not come from the outbox: the store is away."""
        if message.id not in self._direct:
            self._direct.add(message.id)
            self._history.events.append(
                Direct(self._now(), message.id, message.channel, _tellings(message))
            )

    def _queued(self, messages: Sequence[Message], *, instead: bool) -> None:
        for message in messages:
            self._history.events.append(
                Queued(
                    self._now(),
                    self._commits,
                    message.id,
                    message.channel,
                    _tellings(message),
                    self.clock(),
                    instead,
                )
            )

    def end_attempt(
        self, lease: Lease, message: str, result: Result, *, own: float, next_at: float | None
    ) -> None:
        super().end_attempt(lease, message, result, own=own, next_at=next_at)
        if isinstance(result, Retry) and result.after is not None:
            channel = self.outbox[message].message.channel
            self._history.events.append(PutOff(self._now(), channel, message, result.after))

    def fall_back(self, lease: Lease, message: str, messages: Sequence[Message]) -> None:
        super().fall_back(lease, message, messages)
        channel = self.outbox[message].message.channel
        instead = tuple(other.id for other in messages)
        self._history.events.append(GivenUp(self._now(), message, channel, instead))
        self._queued(messages, instead=True)

    def disable_channel(self, lease: Lease, channel: str, reason: str) -> None:
        super().disable_channel(lease, channel, reason)
        self._history.events.append(Disabled(self._now(), channel))


def _tellings(message: Message) -> tuple[Telling, ...]:
    found = []
    for item in message.items:
        if item.change is not None and item.change is not Change.ACKNOWLEDGED:
            operation = item.labels.get("operation", "")
            found.append(
                Telling(item.incident, item.sequence, item.change, item.fingerprint, operation)
            )
    return tuple(found)
