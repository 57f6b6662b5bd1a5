"""A store in memory with the semantics of the real one: what is not committed is lost, what is committed is not."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from alerts_svc.domain.alert import Alert, Decision, Transition
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.message import ChangeEvent, Message
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Changes, Command, Evaluation, Group, World
from alerts_svc.ports import (
    ENOUGH_POSTED,
    Delivery,
    Lease,
    LeaseLostError,
    Result,
    Sent,
    StaleWorldError,
)

MARGIN_SECONDS = 1.0


@dataclass(slots=True)
class Attempt:
    """One try; ``result`` is ``None`` until it has ended, or for ever, if the process died."""

    message: str
    channel: str
    fence: int
    began_at: float
    ended_at: float | None = None
    result: Result | None = None


@dataclass(slots=True)
class Row:
    """A message in the outbox. ``status`` is ``pending``, ``delivered``, ``failed`` or ``given_up``."""

    message: Message
    next_at: float
    since: float
    attempts: int = 0
    status: str = "pending"
    incidents: frozenset[str] = frozenset()


@dataclass(slots=True)
class LeaseRow:
    owner: str
    fence: int
    own: float
    wall: float
    ends_at: float


@dataclass(slots=True)
class MemoryStore:
    """What the database holds; ``clock`` is its wall clock. Every method is one transaction."""

    clock: Callable[[], float] = time.time
    revision: int = 1
    rules: dict[str, Rule] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    events: list[ChangeEvent] = field(default_factory=list)
    heartbeat_at: float | None = None
    transitions: dict[tuple[str, int], Transition] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    outbox: dict[str, Row] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    commands: dict[int, Command] = field(default_factory=dict)
    lease: LeaseRow | None = None
    _told: set[tuple[str, int, str]] = field(default_factory=set)
    _waiting: dict[str, dict[str, Row]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    # What people do through the API, on any replica.

    def put_rule(self, rule: Rule) -> None:
        self.rules[rule.name] = rule
        self.revision += 1

    def remove_rule(self, name: str) -> None:
        del self.rules[name]
        self.revision += 1

    def put_silence(self, silence: Silence) -> None:
        self.silences[silence.id] = silence
        self.revision += 1

    def put_channel(self, channel: Channel) -> None:
        self.channels[channel.name] = channel
        self.revision += 1

    def remove_channel(self, name: str) -> None:
        del self.channels[name]
        self.revision += 1

    def put_configuration(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.revision += 1

    def put_command(self, content: Command | object) -> int:
        """Put something in the inbox; it is durable when this returns."""
        number = next(self._numbers)
        self.commands[number] = Command(number, self.clock(), content)  # type: ignore[arg-type]
        return number

    # What the one that acts does.

    def check(self, lease: Lease) -> None:
        row = self.lease
        if row is None or (row.owner, row.fence) != (lease.owner, lease.fence):
            raise LeaseLostError(f"fence {lease.fence} is not the last one")

    def campaign(self, owner: str, *, ttl: float, own: float | None) -> LeaseRow | None:
        now = self.clock()
        row = self.lease
        if row is None:
            row = LeaseRow(owner, 1, now, now, now + ttl)
        elif row.owner == owner:
            counted = row.own + max(0.0, now - row.wall) if own is None else own
            row = replace(row, own=max(row.own, counted), wall=now, ends_at=now + ttl)
        elif now < row.ends_at <= now + ttl:
            return None
        else:
            counted = row.own + max(0.0, now - row.wall) if own is None else own
            row = LeaseRow(owner, row.fence + 1, counted, now, now + ttl)
        self.lease = row
        return row

    def resign(self, lease: Lease) -> None:
        row = self.lease
        if row is not None and (row.owner, row.fence) == (lease.owner, lease.fence):
            # The fence stays, so that the next owner's is greater.
            self.lease = replace(row, owner="", ends_at=float("-inf"))

    def world(self) -> World:
        return World(
            revision=self.revision,
            rules=dict(self.rules),
            alerts=dict(self.alerts),
            groups=dict(self.groups),
            silences=dict(self.silences),
            channels=dict(self.channels),
            configuration=self.configuration,
            changes=tuple(self.events),
            heartbeat_at=self.heartbeat_at,
        )

    def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        self.check(lease)
        if revision != self.revision:
            raise StaleWorldError(f"revision {revision} is not {self.revision}")
        self.alerts.update((alert.fingerprint, alert) for alert in changes.alerts)
        for fingerprint in changes.forgotten:
            self.alerts.pop(fingerprint, None)
        for transition in changes.transitions:
            self.transitions.setdefault((transition.incident, transition.sequence), transition)
        self.decisions.extend(changes.decisions)
        self.groups.update((group.key, group) for group in changes.groups)
        for key in changes.ended_groups:
            self.groups.pop(key, None)
        if changes.evaluation is not None:
            self.evaluations.append(changes.evaluation)
        if changes.heartbeat_at is not None:
            self.heartbeat_at = changes.heartbeat_at
        for number in changes.consumed:
            self.commands.pop(number, None)
        for message in changes.messages:
            self._enqueue(message, since=lease.own)

    def _enqueue(self, message: Message, *, since: float) -> None:
        told = {(incident, sequence, message.channel) for incident, sequence in message.told}
        if message.id in self.outbox or (told and told <= self._told):
            return
        self._told |= told
        # What waits is kept apart, so that looking for what is due does not grow with history.
        row = Row(
            message,
            next_at=since,
            since=since,
            incidents=frozenset(incident for incident, _ in message.told),
        )
        self.outbox[message.id] = row
        self._waiting.setdefault(message.channel, {})[message.id] = row

    def free(self, channel: str) -> list[Row]:
        """Return the waiting messages of a channel that no earlier one holds up."""
        groups: set[str] = set()
        incidents: set[str] = set()
        found = []
        for row in self._waiting.get(channel, {}).values():
            queue = row.message.queue or row.message.group_key
            if queue not in groups and incidents.isdisjoint(row.incidents):
                found.append(row)
            groups.add(queue)
            incidents |= row.incidents
        return found

    def waiting(self, channel: str) -> list[Row]:
        return list(self._waiting.get(channel, {}).values())

    def queues(self) -> list[str]:
        return [channel for channel, rows in self._waiting.items() if rows]

    def begin_attempt(self, lease: Lease, message: str, *, own: float) -> None:
        self.check(lease)
        row = self.outbox[message]
        row.attempts += 1
        self.attempts.append(Attempt(message, row.message.channel, lease.fence, own))

    def end_attempt(
        self, lease: Lease, message: str, result: Result, *, own: float, next_at: float | None
    ) -> None:
        self.check(lease)
        row = self.outbox[message]
        for attempt in reversed(self.attempts):
            if attempt.message == message and attempt.fence == lease.fence:
                attempt.ended_at, attempt.result = own, result
                break
        if isinstance(result, Sent):
            self._settle(row, "delivered")
        elif next_at is None:
            self._settle(row, "failed")
        else:
            row.next_at = next_at

    def _settle(self, row: Row, status: str) -> None:
        row.status = status
        self._waiting.get(row.message.channel, {}).pop(row.message.id, None)

    def fall_back(self, lease: Lease, message: str, messages: Sequence[Message]) -> None:
        self.check(lease)
        self._settle(self.outbox[message], "given_up")
        for other in messages:
            self._enqueue(other, since=lease.own)

    def disable_channel(self, lease: Lease, channel: str, reason: str) -> None:
        self.check(lease)
        if channel in self.channels:
            self.channels[channel] = replace(
                self.channels[channel], enabled=False, disabled_reason=reason
            )
            self.revision += 1


@dataclass(frozen=True, slots=True)
class _Look:
    """Another one's lease as this process saw it: like that from ``first`` to ``last``, otherwise ``before``."""

    fence: int
    own: float
    first: float
    last: float
    before: float | None


async def _nothing(point: str) -> None:
    """Let every call through at once."""


class MemoryLedger:
    """One process's connection to a ``MemoryStore``: both ``Leases`` and ``Ledger``.

    ``point`` is awaited before and after each call's transaction, named ``commit:before`` and so on: what raises
    there, or never returns, is a connection or a process that died on either side of the commit.
    """

    def __init__(
        self,
        store: MemoryStore,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        point: Callable[[str], Awaitable[None]] = _nothing,
    ) -> None:
        self.store = store
        self._monotonic = monotonic
        self._point = point
        self._look: _Look | None = None
        self.is_quiet = False

    async def campaign(self, owner: str, *, ttl: float, own: float | None = None) -> Lease | None:
        # Counted from before the question, so that the true lease outlives what the caller thinks.
        asked = self._monotonic()
        await self._point("campaign:before")
        row = self.store.campaign(owner, ttl=ttl, own=self._counted(owner, asked, own))
        revision = self.store.revision
        await self._point("campaign:after")
        if row is None:
            return None
        self._look = _Look(row.fence, row.own, asked, asked, None)
        expires_at = asked + ttl - min(MARGIN_SECONDS, ttl / 4)
        return Lease(owner, row.fence, revision, row.own, row.wall, expires_at)

    def _counted(self, owner: str, now: float, own: float | None) -> float | None:
        """Return the own time to go on from.

        The database's clock may have been set; who has watched the lease lie still knows better how long it has been.
        """
        row = self.store.lease
        if row is None or row.owner == owner:
            return own
        last = self._look
        if last is not None and (last.fence, last.own) == (row.fence, row.own):
            look = replace(last, last=now)
        else:
            look = _Look(row.fence, row.own, now, now, last.last if last else None)
        self._look = look
        passed = max(0.0, self.store.clock() - row.wall, now - look.first)
        if look.before is not None and passed > self._monotonic() - look.before:
            passed = now - look.first
        return row.own + passed

    async def resign(self, lease: Lease) -> None:
        await self._point("resign:before")
        self.store.resign(lease)
        await self._point("resign:after")

    @asynccontextmanager
    async def quietly(self) -> AsyncGenerator[MemoryLedger]:
        """People do not know that they are to wait: who plays them looks at ``is_quiet``."""
        self.is_quiet = True
        try:
            yield self
        finally:
            self.is_quiet = False

    async def load(self) -> World:
        await self._point("load:before")
        world = self.store.world()
        await self._point("load:after")
        return world

    async def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        await self._point("commit:before")
        self.store.commit(lease, changes, revision=revision)
        await self._point("commit:after")

    async def inbox(self, *, limit: int) -> Sequence[Command]:
        await self._point("inbox:before")
        found: list[Command] = []
        posted = 0
        for command in itertools.islice(self.store.commands.values(), limit):
            if posted >= ENOUGH_POSTED:
                break
            found.append(command)
            posted += len(command.content) if isinstance(command.content, tuple) else 1
        await self._point("inbox:after")
        return found

    async def due(self, channel: str, *, own: float, limit: int) -> Sequence[Delivery]:
        await self._point("due:before")
        rows = [row for row in self.store.free(channel) if row.next_at <= own]
        rows.sort(key=lambda row: row.message.severity is not Severity.CRITICAL)
        rows = rows[:limit]
        found = [Delivery(row.message, row.attempts, row.next_at, row.since) for row in rows]
        await self._point("due:after")
        return found

    async def next_due(self, channel: str) -> float | None:
        await self._point("next_due:before")
        found = min((row.next_at for row in self.store.free(channel)), default=None)
        await self._point("next_due:after")
        return found

    async def queues(self) -> Sequence[str]:
        await self._point("queues:before")
        found = self.store.queues()
        await self._point("queues:after")
        return found

    async def begin_attempt(self, lease: Lease, delivery: Delivery, *, own: float) -> None:
        await self._point("begin_attempt:before")
        self.store.begin_attempt(lease, delivery.message.id, own=own)
        await self._point("begin_attempt:after")

    async def end_attempt(
        self, lease: Lease, delivery: Delivery, result: Result, *, own: float, next_at: float | None
    ) -> None:
        await self._point("end_attempt:before")
        message = delivery.message.id
        self.store.end_attempt(lease, message, result, own=own, next_at=next_at)
        await self._point("end_attempt:after")

    async def fall_back(
        self, lease: Lease, delivery: Delivery, messages: Sequence[Message]
    ) -> None:
        await self._point("fall_back:before")
        self.store.fall_back(lease, delivery.message.id, messages)
        await self._point("fall_back:after")

    async def disable_channel(self, lease: Lease, channel: str, reason: str) -> None:
        await self._point("disable_channel:before")
        self.store.disable_channel(lease, channel, reason)
        await self._point("disable_channel:after")
