"""When nothing can be decided, because the service's own store is away or a fault of our own: somebody must hear of it.

Whoever acted last tells every channel directly, once. What it told is entered in the store when that is back, and
from then on it is an incident like any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from alerts_svc.clients.roster import Roster
from alerts_svc.domain import builtin, dispatch, machine
from alerts_svc.domain.alert import Alert, State, Transition
from alerts_svc.domain.backoff import delay
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.message import Message
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Changes, World
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.ports import Refused, Retry, Sent, Time, Transports
from windsock_kit.loops import STALE_INTERVALS

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
ATTEMPT_SECONDS = 15.0
_NAME = "evaluation-impaired.json"
_AWAY = "the store of alerts-svc does not answer"
_STUCK = "alerts-svc fails to decide; its log says why"
_COOLDOWN_SECONDS = builtin.rules()[builtin.EVALUATION_IMPAIRED].cooldown_seconds


class Told(msgspec.Struct):
    """What is told directly; ``sent`` are the messages that need no further attempt."""

    alert: Alert
    transitions: list[Transition]
    messages: list[Message]
    sent: list[str] = []


class Journal:
    """Where it is written down that something was told, for a process that comes after this one."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / _NAME if folder else None

    def read(self) -> Told | None:
        """Return what was left, if anything was."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Told) if self._path else None
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("journal_unreadable", error=str(error))
            return None

    def write(self, told: Told | None) -> None:
        """Replace what is there; ``None`` removes it. A disk that is full must not keep anybody from being told."""
        if self._path is None:
            return
        try:
            if told is None:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(told))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            log.warning("journal_not_written", error=str(error))


class Impairment:
    """Looks each second for how long the store has not answered, or nothing was decided, and tells of it.

    ``interval`` is the time between two decisions.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        evaluator: Evaluator,
        transports: Transports,
        time: Time,
        *,
        after_seconds: float,
        interval: float = 5.0,
        journal: Journal,
        roster: Roster,
        load: Callable[[], Awaitable[World]],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._keeper = keeper
        self._evaluator = evaluator
        self._transports = transports
        self._time = time
        self._after = after_seconds
        self._stuck_after = max(after_seconds, STALE_INTERVALS * interval)
        self._acting_since: float | None = None
        self._journal = journal
        self._roster = roster
        self._load = load
        self._wake = wake
        self._world: World | None = None
        self._told = journal.read()
        self._handed = False
        self._tries: dict[str, tuple[int, float]] = {}

    async def tick(self) -> None:
        """Tell what is to be told now, or hand over what was."""
        away, stuck = self._away(), self._stuck()
        if away or stuck:
            self._handed = False
            self._told = self._told or await self._begin(_AWAY if away else _STUCK)
            if self._told is not None:
                await self._send(self._told)
        elif self._told is not None and self._keeper.answered_at is not None:
            await self._hand_over(self._told)

    def _away(self) -> bool:
        """Return whether the store has not answered for so long, though it was asked all the time.

        Who stood still for a while knows neither that nor whether somebody else acts by now.
        """
        answered, failed = self._keeper.answered_at, self._keeper.failed_at
        if answered is None or failed is None:
            return False
        # Within the life of a lease nobody else can have taken it.
        now, patience = self._time.monotonic(), 4 * self._keeper.interval
        asked_on = failed[0] - answered <= patience and now - failed[1] <= patience
        return asked_on and now - answered >= self._after

    def _stuck(self) -> bool:
        """Return whether this process has acted for so long, and no decision has come to its end."""
        now = self._time.monotonic()
        if self._keeper.lease is None:
            self._acting_since = None
            return False
        if self._acting_since is None:
            self._acting_since = now
        return now - max(self._acting_since, self._evaluator.acted_at) >= self._stuck_after

    async def _begin(self, reason: str) -> Told | None:
        world, lease = self._evaluator.known, self._keeper.held
        if lease is None or await self._roster.another_acts(lease.fence):
            # Somebody else acts, or acted last and tells.
            return None
        if world is None:
            if reason == _AWAY:
                return None
            # Nothing was ever decided here; who is to be told of that may still be read.
            world = await self._load()
        labels = builtin.labels(builtin.EVALUATION_IMPAIRED)
        kept = world.alerts.get(fingerprint(labels))
        if kept is not None and self._is_told(kept):
            return None
        # The incident's id follows from when the store answered last, which no two owners of the lease share.
        at = lease.own + (self._after if reason == _AWAY else 0.0)
        alert = Alert(
            fingerprint(labels),
            labels,
            builtin.EVALUATION_IMPAIRED,
            state=State.FIRING,
            severity=Severity.CRITICAL,
            value=self._after,
            threshold=self._after,
            samples=1.0,
            active_at=at - self._after,
            updated_at=at,
        )
        fired, transitions = machine.fire(
            alert, Severity.CRITICAL, own=at, event_at=None, reason=reason
        )
        told = self._tellings(world, fired, transitions)
        log.error(
            "nothing_decided",
            reason=reason,
            incident=transitions[0].incident,
            messages=len(told.messages),
        )
        self._journal.write(told)
        return told

    def _is_told(self, kept: Alert) -> bool:
        """Return whether somebody has been told of it, and that lately: a store may come and go."""
        fired = kept.fired_at
        lately = fired is not None and self._time.own() - fired < _COOLDOWN_SECONDS
        return lately or machine.open_incident(kept) is not None

    def _tellings(self, world: World, alert: Alert, transitions: tuple[Transition, ...]) -> Told:
        """Return what every channel is to be told of an alert, whatever routes and silences say."""
        self._world = world
        alone = World(
            revision=0,
            rules=world.rules,
            alerts={alert.fingerprint: alert},
            channels=world.channels,
        )
        decided = dispatch.decide(alone, own=self._time.own(), wall=self._time.wall())
        after = next(iter(decided.alerts), alert)
        return Told(after, [*transitions, *decided.transitions], list(decided.messages))

    async def _send(self, told: Told) -> None:
        now = self._time.monotonic()
        due = [
            message
            for message in told.messages
            if message.id not in told.sent and self._tries.get(message.id, (0, now))[1] <= now
        ]
        if due and self._world is not None:
            await asyncio.gather(*(self._attempt(told, message, self._world) for message in due))

    async def _attempt(self, told: Told, message: Message, world: World) -> None:
        channel = world.channels.get(message.channel)
        transport = None if channel is None else self._transports.get(channel.kind)
        if channel is None or transport is None:
            told.sent.append(message.id)
            return
        tries = self._tries.get(message.id, (0, 0.0))[0] + 1
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                result = await transport.send(channel, message, wall=self._time.wall())
        except TimeoutError:
            result = Retry(f"no answer within {ATTEMPT_SECONDS:g} s", unknown=True)
        except Exception:
            # One channel's fault must not keep the others from being told.
            log.exception("transport_failed", channel=channel.name, kind=channel.kind)
            result = Retry("a fault of our own", unknown=True)
        if isinstance(result, Sent | Refused):
            log.info("told_directly", channel=channel.name, outcome=type(result).__name__)
            told.sent.append(message.id)
            self._journal.write(told)
        else:
            wait = max(delay(message.id, tries), result.after or 0.0)
            self._tries[message.id] = (tries, self._time.monotonic() + wait)

    async def _hand_over(self, told: Told) -> None:
        """Enter in the store what was told, or end it directly where somebody else acts now."""
        if self._keeper.lease is not None:
            if not self._handed:
                left = [message for message in told.messages if message.id not in told.sent]
                self._evaluator.entering = Changes(
                    alerts=[told.alert], transitions=told.transitions, messages=left
                )
                self._handed = True
                self._wake()
            elif self._evaluator.entering is None:
                self._end()
        elif self._keeper.held is None:
            await self._end_directly(told)

    async def _end_directly(self, told: Told) -> None:
        self._evaluator.entering, self._handed = None, False
        incident = machine.open_incident(told.alert)
        if self._world is None:
            # This process has only read in the journal what was told.
            self._world = await self._load()
        if incident is not None:
            over, transitions = machine.resolve(
                told.alert, own=self._time.own(), reason="the store answers again"
            )
            self._told = told = self._tellings(self._world, over, transitions)
            self._journal.write(told)
        await self._send(told)
        if all(message.id in told.sent for message in told.messages):
            self._end()

    def _end(self) -> None:
        log.info("decided_again")
        self._told, self._handed = None, False
        self._tries.clear()
        self._journal.write(None)
