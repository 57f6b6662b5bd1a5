"""The trickle itself: makes requests when they are due, a bounded number at a time."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic

from loadgen.trickle.backoff import Backoff
from loadgen.trickle.client import Outcome
from loadgen.trickle.counts import Counts
from loadgen.trickle.requests import Ask

AT_ONCE = 8
LINE_SECONDS = 60.0

_LOOK_UP_SECONDS = 0.2
# What is overdue by more, because the machine was busy or asleep, is left out and not made up for.
_LATE_SECONDS = 5.0
# For requests under way when the trickle is stopped; after it they are left to themselves.
_GRACE_SECONDS = 1.0


@dataclass(slots=True)
class Trickle:
    """Requests at the times of ``due``, until stopped or until a bound is reached.

    Each request has a thread of its own, which ends with it and never keeps the process alive.
    Only the thread of ``run`` writes: others tell it.
    """

    asks: Iterator[Ask]
    due: Iterator[float]
    send: Callable[[Ask], Outcome]
    say: Callable[[str], None]
    stopped: Callable[[], bool]
    most_requests: float = inf
    most_seconds: float = inf
    total: Counts = field(default_factory=Counts)
    _minute: Counts = field(default_factory=Counts)
    _backoff: Backoff = field(default_factory=Backoff)
    _news: SimpleQueue[Outcome | str] = field(default_factory=SimpleQueue)
    _under_way: int = 0
    _next_line: float = inf

    def run(self) -> Counts:
        """Make requests, say how it goes every minute, and return the totals."""
        started = monotonic()
        self._next_line = started + LINE_SECONDS
        for seconds in self.due:
            due = started + min(seconds, self.most_seconds)
            self._wait_until(due)
            if self.stopped() or monotonic() >= started + self.most_seconds:
                break
            self._make(next(self.asks), late=monotonic() - due)
            if self.total.sent + self._minute.sent >= self.most_requests:
                break
        self._finish()
        self._print_line()
        return self.total

    def tell(self, text: str) -> None:
        """Say something from another thread."""
        self._news.put(text)

    def _wait_until(self, due: float) -> None:
        while True:
            now = monotonic()
            if now >= self._next_line:
                self._print_line()
                self._next_line = now + LINE_SECONDS
            if now >= due or self.stopped():
                return
            self._collect(min(due, self._next_line) - now)

    def _make(self, ask: Ask, *, late: float) -> None:
        self._collect(0)
        if late > _LATE_SECONDS or self._under_way >= AT_ONCE or self._backoff.holds(monotonic()):
            self._minute.left_out += 1
            return
        self._minute.sent += 1
        self._under_way += 1
        threading.Thread(target=self._answer, args=(ask,), daemon=True).start()

    def _answer(self, ask: Ask) -> None:
        outcome = Outcome("internal error", detail="the trickle itself failed")
        try:
            outcome = self.send(ask)
        finally:
            self._news.put(outcome)

    def _collect(self, seconds: float) -> None:
        """Take what other threads tell, waiting for the first of it for a moment."""
        try:
            news = self._news.get(timeout=min(seconds, _LOOK_UP_SECONDS))
            while True:
                if isinstance(news, str):
                    self.say(news)
                else:
                    self._take(news)
                news = self._news.get_nowait()
        except Empty:
            return

    def _take(self, outcome: Outcome) -> None:
        self._under_way -= 1
        self._minute.add(outcome)
        told = self._backoff.observe(outcome, monotonic())
        if told is not None:
            self.say(told)

    def _finish(self) -> None:
        """Wait for what is under way; when stopped, only for a moment."""
        stop_by = inf
        while self._under_way and monotonic() < stop_by:
            self._collect(_LOOK_UP_SECONDS)
            if self.stopped():
                stop_by = min(stop_by, monotonic() + _GRACE_SECONDS)

    def _print_line(self) -> None:
        self.say(self._minute.line())
        self.total += self._minute
        self._minute = Counts()
