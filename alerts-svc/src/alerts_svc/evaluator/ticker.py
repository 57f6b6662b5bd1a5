"""When to evaluate: every so often, at once when something was announced, and when a decision falls due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from alerts_svc.domain import dispatch
from alerts_svc.evaluator.evaluator import EVERYTHING, Evaluator
from alerts_svc.evaluator.news import Announcement, Scope
from alerts_svc.instruments import Instruments
from alerts_svc.ports import Time
from windsock_kit.loops import PeriodicLoop

# A decision that falls due twice in a row must not keep the process busy.
SOONEST_SECONDS = 0.05


class Ticker:
    """Drives the evaluator; ``loop`` is what runs it."""

    def __init__(
        self,
        evaluator: Evaluator,
        time: Time,
        *,
        interval: float,
        gap: float,
        instruments: Instruments | None = None,
        make_loop: Callable[..., PeriodicLoop] = PeriodicLoop,
    ) -> None:
        self._evaluator = evaluator
        self._time = time
        self._interval = interval
        self._gap = gap
        self._instruments = instruments
        self._due = float("-inf")
        self._evaluated = float("-inf")
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self.loop = make_loop("evaluation", self.tick, interval=interval)

    def announced(self, announcement: Announcement) -> None:
        """Evaluate what an announcement is about as soon as may be."""
        self._evaluator.news.hear(announcement)
        self._wake_in(self._evaluated + self._gap - self._time.monotonic())

    def wake(self) -> None:
        """Decide at once: something waits in the inbox, or the lease has come."""
        self.loop.wake()

    def changed(self) -> None:
        """Decide at once on what people have changed, and evaluate soon: it may be a rule."""
        self._evaluator.reload()
        self._due = min(self._due, self._evaluated + self._gap)
        self.loop.wake()

    async def tick(self) -> None:
        """Do what is due."""
        now = self._time.monotonic()
        scope = self._scope(now)
        if scope is not None:
            self._evaluated = now
        if scope is EVERYTHING:
            self._note_lag(now)
            self._due = now + self._interval
        try:
            acted = await self._evaluator.tick(scope)
        except BaseException:
            # Whatever failed, all of it is to be done again, soon.
            self._due = self._time.monotonic() + min(self._interval, 1.0)
            self._wake_in(self._due - self._time.monotonic())
            raise
        if not acted:
            # The first tick with the lease is to evaluate.
            self._due = float("-inf")
            return
        self._wake_in(self._next() - self._time.monotonic())

    def _scope(self, now: float) -> Scope | None:
        news = self._evaluator.news
        if now >= self._due:
            news.take()
            return EVERYTHING
        if news.waiting and now >= self._evaluated + self._gap:
            return news.take()
        return None

    def _next(self) -> float:
        """Return when the next tick is due, on the monotonic clock."""
        now = self._time.monotonic()
        at = self._due
        if self._evaluator.left_over:
            at = min(at, now + SOONEST_SECONDS)
        if self._evaluator.news.waiting:
            at = min(at, self._evaluated + self._gap)
        world = self._evaluator.world
        if world is not None:
            own = self._time.own()
            decision = dispatch.next_decision(world, own=own, wall=self._time.wall())
            if decision is not None:
                at = min(at, now + max(SOONEST_SECONDS, decision - own))
        return at

    def _wake_in(self, seconds: float) -> None:
        """Wake the loop once, at the earliest time that was asked for."""
        running = asyncio.get_running_loop()
        at = running.time() + max(0.0, seconds)
        if self._handle is not None and not self._handle.cancelled():
            # Not the handle's own ``when``: uvloop gives one without it for what is due at once.
            if running.time() < self._wakes_at <= at:
                return
            self._handle.cancel()
        self._wakes_at = at
        self._handle = running.call_at(at, self.loop.wake)

    def _note_lag(self, now: float) -> None:
        if self._instruments is not None and self._due != float("-inf"):
            self._instruments.evaluation_lag.set(now - self._due)
