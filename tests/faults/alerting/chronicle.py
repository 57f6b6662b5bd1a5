"""What happened in a run of real processes, for the checker of the simulation: from the store, receivers and logs.

The checker knows the pace of real life. Here everything goes ``SCALE`` times as fast, so all times are stretched by that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import asyncpg

from alerts_svc.domain.alert import Change
from alerts_svc.domain.assessment import labels_of
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.message import Message
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.severity import Severity, rank
from alerts_svc.store.content import load_message
from tests.alerts_svc.receivers import WebhookReceiver
from tests.alerts_svc.simulation.history import (
    Arrived,
    Attempted,
    Committed,
    Decided,
    Event,
    Fault,
    History,
    Measured,
    Queued,
    Ruled,
    Silenced,
    Taken,
    Telling,
)
from tests.faults.alerting.service import AlertsService

SCALE = 4.0
CONSOLE = "console"


@dataclass
class Chronicle:
    """Collects what the test itself does, in Unix seconds, and in the end all the rest."""

    rules: Sequence[Rule]
    operations: Sequence[str]
    began_at: float
    events: list[Event] = field(default_factory=list)

    def scaled(self, at: float) -> float:
        """Return a time as the checker is to see it."""
        return (at - self.began_at) * SCALE

    def measured(self, at: float, rule: str, operation: str, value: float) -> None:
        """Note what is true from now on."""
        self.events.append(Measured(self.scaled(at), rule, operation, value))

    def fault(self, at: float, until: float, kind: str, channel: str | None = None) -> None:
        """Note that something does not work."""
        self.events.append(Fault(self.scaled(at), self.scaled(until), kind, channel))

    def silenced(self, at: float, name: str, operation: str, begin: float, end: float) -> None:
        """Note that a silence was acknowledged."""
        walls = self.scaled(begin), self.scaled(end)
        self.events.append(Silenced(self.scaled(at), name, operation, *walls))

    async def history(
        self,
        database_url: str,
        services: Iterable[AlertsService],
        receivers: Mapping[str, WebhookReceiver],
        *,
        ended_at: float,
    ) -> History:
        """Return all of it."""
        connection = await asyncpg.connect(database_url)
        try:
            stored = [event async for event in self._stored(connection)]
            drained = not await connection.fetchval(_LEFT)
        finally:
            await connection.close()
        ruled = [Ruled(0.0, rule.name, self._stretched(rule)) for rule in self.rules]
        arrived = [
            Arrived(self.scaled(one.wall), channel, one.id)
            for channel, receiver in receivers.items()
            for one in receiver.accepted
        ]
        logged = [event for service in services for event in self._logged(service)]
        events = [*self.events, *stored, *ruled, *arrived, *logged]
        return History(
            alerts={
                fingerprint(labels_of(rule, (operation,))): (rule.name, operation)
                for rule in self.rules
                for operation in self.operations
            },
            channels=list(receivers),
            ended_at=self.scaled(ended_at),
            drained=drained,
            events=sorted(events, key=lambda event: event.at),
        )

    def _stretched(self, rule: Rule) -> Rule:
        return replace(
            rule,
            for_seconds=rule.for_seconds * SCALE,
            keep_firing_seconds=rule.keep_firing_seconds * SCALE,
            cooldown_seconds=rule.cooldown_seconds * SCALE,
        )

    def _logged(self, service: AlertsService) -> Iterator[Event]:
        for line in service.said("lease_taken"):
            yield Taken(self._at(line), line["owner"], line["fence"])
        for line in service.said("alert"):
            # It has the time of its making, which is all that there is.
            yield Arrived(self._at(line), CONSOLE, line["message_id"])

    def _at(self, line: Mapping[str, str]) -> float:
        return self.scaled(datetime.fromisoformat(line["timestamp"]).timestamp())

    async def _stored(self, connection: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[Event]:
        transitions = await connection.fetch(_TRANSITIONS)
        decisions = await connection.fetch(_DECISIONS)
        messages = [load_message(row["content"]) for row in await connection.fetch(_DELIVERIES)]
        commits = Commits({row["at"] for row in (*transitions, *decisions)}, messages)
        severities: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for row in transitions:
            severity = rank(None if row["severity"] is None else Severity(row["severity"]))
            severities[row["incident"]].append((row["at"], severity))
            yield Committed(
                self.scaled(commits.true(row["at"])),
                commits.number(row["at"]),
                self.scaled(row["at"]),
                row["incident"],
                row["fingerprint"],
                row["sequence"],
                Change(row["change"]),
                row["reason"],
            )
        for row in decisions:
            known = [found for at, found in severities[row["incident"]] if at <= row["at"]]
            yield Decided(
                self.scaled(commits.true(row["at"])),
                commits.number(row["at"]),
                self.scaled(row["at"]),
                row["incident"],
                row["fingerprint"],
                Change(row["change"]),
                row["outcome"],
                row["reason"],
                known[-1] if known else 0,
            )
        for message in messages:
            yield self._queued(message, commits)
        for row in await connection.fetch(_ATTEMPTS):
            outcome = "ok" if row["outcome"] == "sent" else "lost"
            at = self.scaled(commits.true(row["began_at"]))
            yield Attempted(at, "", row["channel"], row["message_id"], outcome)

    def _queued(self, message: Message, commits: Commits) -> Queued:
        tellings = tuple(
            Telling(
                item.incident,
                item.sequence,
                item.change,
                item.fingerprint,
                item.labels.get("operation", ""),
            )
            for item in message.items
            if item.change is not None and item.change is not Change.ACKNOWLEDGED
        )
        return Queued(
            self.scaled(message.created_at),
            commits.number(commits.nearest(message.created_at)),
            message.id,
            message.channel,
            tellings,
            self.scaled(message.created_at),
            instead=bool(message.notice),
        )


class Commits:
    """What was decided at one time is committed together. Messages have that time by the true clock, the rest by own time.

    The two differ by what the service's own time has lost with each takeover.
    """

    def __init__(self, times: Iterable[float], messages: Iterable[Message]) -> None:
        self._times = sorted(times)
        walls = sorted({message.created_at for message in messages})
        self._skews = [wall - self.nearest(wall) for wall in walls]
        self._walls = walls

    def nearest(self, wall: float) -> float:
        """Return the time of the decision that a message is from."""
        return _nearest(self._times, wall)

    def number(self, own: float) -> int:
        """Return which commit was decided at that time."""
        return self._times.index(own)

    def true(self, own: float) -> float:
        """Return a time by the true clock."""
        if not self._walls:
            return own
        return own + self._skews[self._walls.index(_nearest(self._walls, own))]


def _nearest(times: Sequence[float], at: float) -> float:
    place = bisect_left(times, at)
    return min(times[max(0, place - 1) : place + 1], key=lambda time: abs(time - at))


_TRANSITIONS = "SELECT * FROM alerts.transitions ORDER BY at, incident, sequence"
_DECISIONS = "SELECT * FROM alerts.decisions ORDER BY at"
_DELIVERIES = "SELECT content FROM alerts.deliveries ORDER BY id"
_ATTEMPTS = """
    SELECT a.began_at, a.outcome, d.channel, d.message_id
    FROM alerts.attempts AS a JOIN alerts.deliveries AS d ON d.id = a.delivery
"""
_LEFT = """
    SELECT EXISTS (SELECT FROM alerts.deliveries WHERE status = 'waiting')
        OR EXISTS (SELECT FROM alerts.incidents WHERE ended_at IS NULL)
"""
