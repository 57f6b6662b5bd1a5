"""Runs a plan: two replicas, their store, metrics-svc, receivers, people, and what goes wrong, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from alerts_svc.clients.measures import Answers, MeasuresError
from alerts_svc.domain.assessment import labels_of
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.message import Message
from alerts_svc.domain.reading import Answer, Group
from alerts_svc.domain.rule import Query, Rule
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.undelivered import CONSOLE
from alerts_svc.domain.world import Acknowledge, Close
from alerts_svc.ports import Result, Sent
from tests.alerts_svc.simulation import plan as planning
from tests.alerts_svc.simulation import receivers
from tests.alerts_svc.simulation.history import (
    Arrived,
    Attempted,
    Closed,
    Event,
    Fault,
    History,
    Measured,
    Ruled,
    Silenced,
    Stepped,
)
from tests.alerts_svc.simulation.plan import PAGER, Plan, Step
from tests.alerts_svc.simulation.process import Process, StoreAwayError
from tests.alerts_svc.simulation.receivers import Receiver
from tests.alerts_svc.simulation.recording import RecordingStore
from tests.alerts_svc.simulation.virtual import run

EPOCH = 1_790_000_000.0
# Another replica acts this long after the one that acted has gone, and has looked at everything.
TAKEOVER_SECONDS = 15.0
DRAIN_SECONDS = 1_200.0


def simulate(seed: int, store: type[RecordingStore] = RecordingStore) -> History:
    """Run one seed and return what happened; ``store`` may be one that breaks its promises."""
    return run(_main(planning.drawn(seed), store))


async def _main(plan: Plan, store: type[RecordingStore]) -> History:
    simulation = Simulation(plan, store)
    await simulation.go()
    return simulation.history


class Simulation:
    """The surroundings of the two replicas."""

    def __init__(self, plan: Plan, store: type[RecordingStore]) -> None:
        self.interval = 5.0
        self._plan = plan
        self._random = Random(plan.seed + 1)
        self._loop = asyncio.get_running_loop()
        self._stepped = 0.0
        self._levels: dict[tuple[str, str], float | None] = {}
        self._away_until = self._lossy_until = self._slow_until = self._unmeasured_until = 0.0
        self._calls = 0
        self._at_call: Callable[[Process], None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.history = History(
            alerts={
                fingerprint(labels_of(rule, (operation,))): (rule.name, operation)
                for rule in plan.rules
                for operation in plan.operations
            },
            channels=[channel.name for channel in plan.channels if channel.name != PAGER],
            pagers=[channel.name for channel in plan.channels if channel.name == PAGER],
            interval=self.interval,
            began_at=self.now(),
        )
        self.store = store(now=self.now, clock=self.clock, history=self.history)
        self._receivers = {
            channel.name: Receiver(channel.name, self.history, self._random, self.now)
            for channel in plan.channels
        }
        self._processes = [Process("a", self), Process("b", self)]

    def now(self) -> float:
        """Return the true time."""
        return self._loop.time()

    def clock(self) -> float:
        """Return the database's clock."""
        return EPOCH + self._loop.time() + self._stepped

    async def go(self) -> None:
        """Run to the end of the plan, and on until nothing is left to be told."""
        for rule in self._plan.rules:
            self.store.put_rule(rule)
            self._note(Ruled(self.now(), rule.name, rule))
        for channel in (CONSOLE, *self._plan.channels):
            self.store.put_channel(channel)
        self.store.put_configuration(self._plan.configuration)
        begin = self.now()
        for process in self._processes:
            process.start()
        script: list[tuple[float, planning.Level | Step]] = [
            *((level.at, level) for level in self._plan.levels),
            *((step.at, step) for step in self._plan.steps),
        ]
        for at, what in sorted(script, key=lambda entry: entry[0]):
            await asyncio.sleep(max(0.0, begin + at - self.now()))
            if isinstance(what, Step):
                getattr(self, f"_{what.kind}")(what)
            else:
                self._measure(what.rule, what.operation, what.value)
        await asyncio.sleep(max(0.0, begin + self._plan.seconds - self.now()))
        await self._recover()
        await self._drain()
        self.history.ended_at = self.now()

    async def _recover(self) -> None:
        """Let everything be well again, and see that the measurements are."""
        self._at_call = None
        self._away_until = self._lossy_until = self._slow_until = self._unmeasured_until = 0.0
        for receiver in self._receivers.values():
            receiver.until = 0.0
        for rule in self._plan.rules:
            self.store.put_rule(replace(rule, version=rule.version + 10))
            self._note(Ruled(self.now(), rule.name, rule))
            for operation in self._plan.operations:
                self._measure(rule.name, operation, 10.0)
        # What is being done to the service ends by itself.
        if self._background:
            await asyncio.wait(self._background)
        for channel in self.store.channels.values():
            if not channel.enabled or channel.disabled_reason is not None:
                self.store.put_channel(
                    replace(
                        channel, enabled=True, disabled_reason=None, version=channel.version + 1
                    )
                )

    async def _drain(self) -> None:
        end = self.now() + DRAIN_SECONDS
        # What was told without the store is entered in it first.
        await asyncio.sleep(TAKEOVER_SECONDS)
        while self.now() < end:
            await asyncio.sleep(5.0)
            told = all(alert.incident is None for alert in self.store.alerts.values())
            if told and not self.store.queues():
                return
        self.history.drained = False

    # What a process meets.

    async def store_called(self, process: Process, point: str) -> None:
        now = self.now()
        if self._at_call is not None and process.acting:
            self._calls -= 1
            if self._calls <= 0:
                strike, self._at_call = self._at_call, None
                strike(process)
                return
        # The question and the answer both take their time.
        if now < self._slow_until:
            await asyncio.sleep(self._random.uniform(0.0, 1.0))
        elif self._random.random() < 0.1:
            await asyncio.sleep(self._random.uniform(0.0, 0.05))
        if point.endswith(":before"):
            if self.now() < self._away_until:
                raise StoreAwayError(point)
        elif now < self._lossy_until and self._random.random() < 0.3:
            raise StoreAwayError(point)

    async def measured(self, queries: Sequence[Query], seconds: float | None) -> Answers:
        if self.now() < self._unmeasured_until:
            await asyncio.sleep(self._random.choice((0.01, seconds or 4.0)))
            raise MeasuresError("metrics-svc does not answer")
        found: dict[Query, Answer] = {
            query: {
                _group(query, operation): (value, 100.0)
                for operation in self._plan.operations
                if (value := self._levels.get((query.measure, operation))) is not None
            }
            for query in queries
        }
        await asyncio.sleep(self._random.uniform(0.005, 0.2))
        return Answers(found)

    async def received(
        self, process: Process, channel: str, message: Message, *, direct: bool
    ) -> Result:
        if direct:
            self.store.told_directly(message)
        receiver = self._receivers.get(channel)
        if receiver is not None:
            return await receiver.take(message.id, process.name)
        self._note(Attempted(self.now(), process.name, channel, message.id, receivers.OK))
        self._note(Arrived(self.now(), channel, message.id))
        return Sent()

    # What is done to it.

    def _crash(self, step: Step) -> None:
        victim = next((process for process in self._processes if process.acting), None)
        if victim is not None:
            self._kill(victim, step.seconds)

    def _crash_at_call(self, step: Step) -> None:
        self._calls = 1 + step.pick % 40
        self._at_call = lambda process: self._kill(process, step.seconds)

    def _kill(self, process: Process, seconds: float) -> None:
        if self._both_run():
            self._fault(TAKEOVER_SECONDS, "crash")
            process.crash()
            self._later(self._started(process, seconds))

    def _restart(self, step: Step) -> None:
        victim = next((process for process in self._processes if process.acting), None)
        if victim is not None and self._both_run():
            self._fault(TAKEOVER_SECONDS, "restart")
            self._later(self._restarted(victim, step.seconds))

    async def _restarted(self, process: Process, seconds: float) -> None:
        await process.stop()
        await self._started(process, seconds)

    def _power(self, step: Step) -> None:
        if self._both_run():
            self._fault(step.seconds + TAKEOVER_SECONDS, "power")
            for process in self._processes:
                process.crash()
                self._later(self._started(process, step.seconds))

    async def _started(self, process: Process, seconds: float) -> None:
        await asyncio.sleep(seconds)
        process.start()

    def _pause(self, step: Step) -> None:
        victim = next((process for process in self._processes if process.acting), None)
        if victim is not None:
            self._stop(victim, step.seconds)

    def _pause_at_call(self, step: Step) -> None:
        self._calls = 1 + step.pick % 40
        self._at_call = lambda process: self._stop(process, step.seconds)

    def _stop(self, process: Process, seconds: float) -> None:
        if self._both_run():
            self._fault(TAKEOVER_SECONDS, "pause")
            process.pause()
            self._later(self._paused(process, seconds))

    async def _paused(self, process: Process, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._fault(1.0, "resume")
        process.resume()

    def _both_run(self) -> bool:
        return all(process.alive and not process.paused for process in self._processes)

    def _store_down(self, step: Step) -> None:
        self._away_until = self.now() + step.seconds
        self._fault(step.seconds + TAKEOVER_SECONDS, "store_down")

    def _store_lossy(self, step: Step) -> None:
        self._lossy_until = self.now() + step.seconds
        self._fault(step.seconds + TAKEOVER_SECONDS, "store_lossy")

    def _store_slow(self, step: Step) -> None:
        self._slow_until = self.now() + step.seconds
        self._fault(step.seconds + TAKEOVER_SECONDS, "store_slow")

    def _metrics_down(self, step: Step) -> None:
        self._unmeasured_until = self.now() + step.seconds
        self._fault(step.seconds + 10.0, "metrics_down")

    def _receiver(self, step: Step) -> None:
        receiver = self._some_receiver(step)
        receiver.mode = receivers.MODES[step.pick % len(receivers.MODES)]
        receiver.after = float(1 + step.pick % 30)
        receiver.until = self.now() + step.seconds
        asked = receiver.after if receiver.mode == receivers.BUSY else 0.0
        self._fault(step.seconds + asked, receiver.mode, receiver.channel)

    def _refusal(self, step: Step) -> None:
        receiver = self._some_receiver(step)
        receiver.mode = receivers.REFUSING if step.pick % 2 else receivers.GONE
        receiver.until = self.now() + step.seconds
        self._fault(step.seconds, receiver.mode, receiver.channel)

    def _some_receiver(self, step: Step) -> Receiver:
        return list(self._receivers.values())[step.pick % len(self._receivers)]

    def _clock(self, step: Step) -> None:
        seconds = (3600.0, -3600.0, 7.0, -7.0, 300.0, -300.0)[step.pick % 6]
        self._stepped += seconds
        self._note(Stepped(self.now(), seconds))
        self._fault(TAKEOVER_SECONDS, "clock")

    # What people do.

    def _silence(self, step: Step) -> None:
        operation = self._plan.operations[step.pick % len(self._plan.operations)]
        begin = self.clock()
        silence = Silence(
            f"silence{step.at}",
            (Matcher("operation", operation),),
            begin,
            begin + 3 * step.seconds,
            "somebody",
            "",
        )
        self.store.put_silence(silence)
        self._note(Silenced(self.now(), silence.id, operation, begin, silence.ends_at))
        self._tell()

    def _acknowledge(self, step: Step) -> None:
        incident = self._open_incident(step)
        if incident is not None:
            until = self.clock() + 3 * step.seconds
            self.store.put_command(Acknowledge(incident, "somebody", until))
            self._tell()

    def _close(self, step: Step) -> None:
        incident = self._open_incident(step)
        if incident is not None:
            self.store.put_command(Close(incident, "somebody"))
            self._note(Closed(self.now(), incident))
            self._tell()

    def _open_incident(self, step: Step) -> str | None:
        found = [alert.incident.id for alert in self.store.alerts.values() if alert.incident]
        return found[step.pick % len(found)] if found else None

    def _edit(self, step: Step) -> None:
        rule = self._plan.rules[step.pick % len(self._plan.rules)]
        self._put(planning.edited(rule, step.pick))
        self._later(self._put_back(rule, step.seconds))

    async def _put_back(self, rule: Rule, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._put(replace(rule, version=rule.version + 2))

    def _put(self, rule: Rule) -> None:
        self.store.put_rule(rule)
        self._note(Ruled(self.now(), rule.name, rule))
        self._tell()

    def _tell(self) -> None:
        """Notify the processes, as the store does; such a notice may get lost."""
        for process in self._processes:
            if process.ticker is not None and self._random.random() < 0.5:
                process.ticker.changed()

    def _measure(self, rule: str, operation: str, value: float | None) -> None:
        self._levels[rule, operation] = value
        self._note(Measured(self.now(), rule, operation, value))

    def _fault(self, seconds: float, kind: str, channel: str | None = None) -> None:
        self._note(Fault(self.now(), self.now() + seconds, kind, channel))

    def _note(self, event: Event) -> None:
        self.history.events.append(event)

    def _later(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _group(query: Query, operation: str) -> Group:
    return tuple(operation if name == "operation" else "some" for name in query.group_by)
