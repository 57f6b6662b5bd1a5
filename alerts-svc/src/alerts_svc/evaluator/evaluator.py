"""The one that decides: each tick is one look at the measurements and the inbox, and at most one commit."""

from __future__ import annotations

import time as process
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from alerts_svc.clients.measures import Answers, Measures, MeasuresError
from alerts_svc.domain import builtin, commands, dispatch, machine
from alerts_svc.domain.alert import Alert
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.reading import Failed, Finding
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.world import Changes, Command, World, applied, joined
from alerts_svc.evaluator.enriching import Enricher
from alerts_svc.evaluator.judging import Asked, Judge, Judgement, orphaned
from alerts_svc.evaluator.news import News, Scope
from alerts_svc.instruments import Instruments
from alerts_svc.ports import ENOUGH_POSTED, Lease, LeaseLostError, Ledger, StaleWorldError, Time

log = structlog.get_logger(__name__)

EVERYTHING = Scope()
_NOTHING = Changes()
MAX_TRIES = 5
# After so many in vain people's changes wait for the next one.
HASTY_TRIES = 2
MAX_COMMANDS = 500
# Thousands may change at once, and each line takes its time.
MAX_LOGGED = 50
# Who has not acted for so long may have been out of senders' reach.
AWAY_SECONDS = 30.0
# What was only measured anew is written this often, for those who read the store.
REFRESH_SECONDS = 15.0


class Keeper(Protocol):
    """Whoever holds the lease."""

    @property
    def lease(self) -> Lease | None:
        """Return the lease while it lasts."""
        ...

    def lost(self, lease: Lease) -> None:
        """Take note that the store refused what was done under ``lease``."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, in which rules' names, and what came of it."""

    scope: Scope
    answers: Asked


class Evaluator:
    """Keeps the world in memory between ticks: as committed, and dropped whenever that is not certain."""

    def __init__(
        self,
        ledger: Ledger,
        measures: Measures,
        keeper: Keeper,
        time: Time,
        *,
        news: News | None = None,
        impaired_after_seconds: float = 15.0,
        given_up: Callable[[], Mapping[str, int] | None] = dict,
        committed: Callable[[Changes], None] = lambda _: None,
        instruments: Instruments | None = None,
    ) -> None:
        self.news = news or News()
        self._ledger = ledger
        self._measures = measures
        self._keeper = keeper
        self._time = time
        self._impaired_after = impaired_after_seconds
        self._builtin = builtin.rules(impaired_after_seconds=impaired_after_seconds)
        self._given_up = given_up
        self._committed = committed
        self._instruments = instruments
        self._judge = Judge()
        self._enricher = Enricher(measures)
        self._world: World | None = None
        self._stale = False
        self._fence = -1
        # Under which fence something was decided last, and when (own time).
        self._acted: tuple[int, float] = (-1, float("-inf"))
        # Alerts that were only measured anew since they were written.
        self._unwritten: set[str] = set()
        self._refreshed_at = float("-inf")
        self._good_at: float | None = None
        self.evaluated_at: float | None = None
        # When a tick came to its end last, by the monotonic clock.
        self.acted_at = float("-inf")
        # Whether more may wait in the inbox than one tick acts on.
        self.left_over = False
        # The world as it was known last, even after the lease has ended or the store has failed.
        self.known: World | None = None
        # What was told without the store, to be committed when it is back.
        self.entering: Changes | None = None

    @property
    def world(self) -> World | None:
        """The world as it was committed last, ``None`` where this process does not act or does not know."""
        return self._world if self._keeper.lease is not None else None

    def reload(self) -> None:
        """Load the world anew at the next tick: somebody has changed something."""
        self._stale = True

    async def tick(self, scope: Scope | None = EVERYTHING) -> bool:
        """Evaluate the rules of ``scope`` (``None``: none), decide, and commit; ``False`` without the lease.

        Raises what the store raises; then nothing is known to be committed, and the next tick begins anew.
        """
        asked: _Asked | None = None
        started = process.perf_counter()
        for tries in range(MAX_TRIES):
            lease = self._keeper.lease
            if lease is None:
                self._world = None
                return False
            try:
                async with self._turn(tries) as ledger:
                    world = await self._loaded(ledger, lease)
                    if asked is None and scope is not None:
                        asked = await self._ask(world, scope)
                    await self._act(ledger, lease, world, asked)
            except StaleWorldError:
                self._world = None
                continue
            except LeaseLostError:
                self._world = None
                self._keeper.lost(lease)
                return False
            except BaseException:
                # Whether it was committed is not known.
                self._world = None
                raise
            self.acted_at = self._time.monotonic()
            self._ended(asked, process.perf_counter() - started)
            return True
        log.warning("decision_postponed", tries=MAX_TRIES)
        return True

    def _turn(self, tries: int) -> AbstractAsyncContextManager[Ledger]:
        return nullcontext(self._ledger) if tries < HASTY_TRIES else self._ledger.quietly()

    async def _loaded(self, ledger: Ledger, lease: Lease) -> World:
        world = self._world
        # A higher revision was committed by people; under another fence somebody else may have acted meanwhile.
        current = (
            world is not None and world.revision >= lease.revision and self._fence == lease.fence
        )
        if world is None or not current or self._stale:
            self._stale = False
            found = await ledger.load()
            world = replace(found, rules={**found.rules, **self._builtin})
            self._judge.forget(world.rules)
            self._world, self._fence = world, lease.fence
            self.known = world
            self._unwritten.clear()
            self._refreshed_at = self._time.own()
        return world

    async def _ask(self, world: World, scope: Scope) -> _Asked:
        wanted = self._judge.queries(self._evaluated(world, scope))
        try:
            answers: Asked = await self._measures.ask(wanted, wall=self._time.wall())
        except MeasuresError as error:
            log.warning("measures_unavailable", reason=str(error))
            answers = Failed(str(error))
        else:
            self._good_at = self._time.own()
        return _Asked(scope, answers)

    def _evaluated(self, world: World, scope: Scope) -> list[Rule]:
        return [
            rule
            for name, rule in world.rules.items()
            if rule.enabled and name not in self._builtin and scope.concerns(rule)
        ]

    async def _act(self, ledger: Ledger, lease: Lease, world: World, asked: _Asked | None) -> None:
        found = await ledger.inbox(limit=MAX_COMMANDS)
        own, wall = self._time.own(), self._time.wall()
        was_away = self._acted[0] != lease.fence or own - self._acted[1] > AWAY_SECONDS
        after, changes = commands.apply(world, found, own=own, wall=wall, was_away=was_away)
        entering = self.entering
        entered = _entered(after, entering)
        after, changes = applied(after, entered), joined(changes, entered)
        judgement = self._judged(after, asked, own=own, wall=wall)
        after = applied(after, judgement.everything())
        changes = joined(changes, judgement.written())
        evaluated = asked is not None and isinstance(asked.answers, Answers)
        decided = dispatch.decide(after, own=own, wall=wall, evaluated=evaluated)
        after = applied(after, decided)
        changes = self._refreshed(after, joined(changes, decided), judgement, own=own)
        messages = await self._enricher.enriched(changes.messages, after.rules, wall=wall)
        changes = replace(changes, messages=messages)
        if changes != _NOTHING:
            await ledger.commit(lease, changes, revision=world.revision)
        self._world = self.known = after
        self._acted = lease.fence, own
        self.left_over = _is_full(found)
        if self.entering is entering:
            self.entering = None
        self._tell(changes)

    def _refreshed(self, world: World, changes: Changes, made: Judgement, *, own: float) -> Changes:
        """Add now and then what was only measured anew: those who read the store see it too."""
        self._unwritten.update(alert.fingerprint for alert in made.alerts)
        self._unwritten.difference_update(alert.fingerprint for alert in changes.alerts)
        if own - self._refreshed_at < REFRESH_SECONDS or not self._unwritten:
            return changes
        self._refreshed_at = own
        late = [world.alerts[name] for name in self._unwritten if name in world.alerts]
        self._unwritten.clear()
        return joined(changes, Changes(alerts=late))

    def _judged(self, world: World, asked: _Asked | None, *, own: float, wall: float) -> Judgement:
        made = Judgement(own)
        if asked is not None:
            self._judge.judge(
                made,
                self._evaluated(world, asked.scope),
                world.alerts,
                asked.answers,
                newest=lambda operation: self.news.latest(operation, wall=wall),
            )
            self._judge_evaluation(made, world, asked.answers)
        self._judge_channels(made, world)
        self._close_orphans(made, world)
        return made

    def _judge_evaluation(self, made: Judgement, world: World, answers: Asked) -> None:
        failing = isinstance(answers, Failed)
        since = made.own - self._good_at if failing and self._good_at is not None else 0.0
        outcome = builtin.evaluation(
            failing=failing, away_seconds=since, after_seconds=self._impaired_after
        )
        self._outcome(made, world, builtin.EVALUATION_IMPAIRED, None, outcome)

    def _judge_channels(self, made: Judgement, world: World) -> None:
        given_up = self._given_up()
        if given_up is None:
            # Nothing is known yet, so nothing begins and nothing ends.
            return
        for name, channel in world.channels.items():
            outcome = builtin.channel(channel, given_up=given_up.get(name, 0))
            self._outcome(made, world, builtin.CHANNEL_FAILING, name, outcome)

    def _outcome(
        self, made: Judgement, world: World, name: str, channel: str | None, outcome: Finding
    ) -> None:
        labels = builtin.labels(name, channel=channel)
        identity = fingerprint(labels)
        kept = world.alerts.get(identity)
        if kept is None and outcome.level is None:
            return
        rule, before = self._builtin[name], kept or Alert(identity, labels, name)
        step = machine.advance(before, outcome, rule, own=made.own)
        made.judged(before, step, rule, stored=kept is not None)

    def _close_orphans(self, made: Judgement, world: World) -> None:
        """End what rules and channels that were changed or deleted have left behind."""
        for alert in world.alerts.values():
            if alert.rule is None:
                continue
            rule = world.rules.get(alert.rule)
            reason = orphaned(rule, alert.labels)
            if alert.rule == builtin.CHANNEL_FAILING:
                known = alert.labels.get(builtin.CHANNEL) in world.channels
                reason = None if known else "channel_deleted"
            if reason is not None:
                step = machine.resolve(alert, own=made.own, reason=reason)
                made.judged(alert, step, rule)

    def _tell(self, changes: Changes) -> None:
        """Say what was committed: in the log, in the metrics, and to whoever sends."""
        for transition in changes.transitions[:MAX_LOGGED]:
            log.info(
                "incident_changed",
                incident=transition.incident,
                sequence=transition.sequence,
                change=transition.change,
                severity=transition.severity,
                reason=transition.reason,
            )
        if len(changes.transitions) > MAX_LOGGED:
            log.info("incidents_changed", further=len(changes.transitions) - MAX_LOGGED)
        if self._instruments is not None:
            self._instruments.committed(changes)
        self._committed(changes)

    def _ended(self, asked: _Asked | None, seconds: float) -> None:
        if asked is None:
            return
        self.evaluated_at = self._time.own()
        if self._instruments is not None:
            outcome = "failed" if isinstance(asked.answers, Failed) else "ok"
            self._instruments.evaluations.labels(outcome).inc()
            self._instruments.evaluation_seconds.observe(seconds)
            if self._world is not None:
                enabled = sum(rule.enabled for rule in self._world.rules.values())
                self._instruments.rules.set(enabled)


def _is_full(found: Sequence[Command]) -> bool:
    posted = sum(len(one.content) for one in found if isinstance(one.content, tuple))
    return len(found) >= MAX_COMMANDS or posted >= ENOUGH_POSTED


def _entered(world: World, entering: Changes | None) -> Changes:
    if entering is None:
        return _NOTHING
    news = [alert for alert in entering.alerts if not _is_open(world, alert)]
    return entering if news else _NOTHING


def _is_open(world: World, alert: Alert) -> bool:
    kept = world.alerts.get(alert.fingerprint)
    return kept is not None and machine.open_incident(kept) is not None
