"""Receivers of messages: each answers, fails, hangs or loses its answer, as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from alerts_svc.ports import Refused, Result, Retry, Sent
from tests.alerts_svc.simulation.history import Arrived, Attempted, History

OK = "ok"
# The message does not arrive.
DOWN = "down"
BUSY = "busy"
HANGING = "hanging"
# Whether it arrives is not known to the sender.
LOST = "lost"
RESET = "reset"
# It never will.
REFUSING = "refusing"
GONE = "gone"
MODES = (DOWN, BUSY, HANGING, LOST, RESET)


@dataclass(slots=True)
class Receiver:
    """One channel's other end. ``until`` is when ``mode`` ends; ``after`` is what it asks for when busy."""

    channel: str
    history: History
    random: Random
    now: Callable[[], float]
    mode: str = OK
    until: float = 0.0
    after: float = 0.0

    async def take(self, message: str, process: str) -> Result:
        """Answer one call; the message has arrived if the history says so."""
        mode = self.mode if self.now() < self.until else OK
        after = self.after if mode == BUSY else 0.0
        self.history.events.append(
            Attempted(self.now(), process, self.channel, message, mode, after)
        )
        await asyncio.sleep(self.random.uniform(0.005, 0.2))
        if mode == OK:
            return self._arrived(message, Sent(200))
        if mode == DOWN:
            return Retry("500 Internal Server Error", status=500)
        if mode == BUSY:
            return Retry("429 Too Many Requests", status=429, after=after)
        if mode == RESET:
            unknown = Retry("connection reset", unknown=True)
            return self._arrived(message, unknown) if self.random.random() < 0.5 else unknown
        if mode == LOST:
            self._arrived(message, Sent(200))
        if mode in (LOST, HANGING):
            await asyncio.sleep(3600.0)
        return Refused(f"{mode}: not here", status=404, gone=mode == GONE)

    def _arrived(self, message: str, result: Result) -> Result:
        self.history.events.append(Arrived(self.now(), self.channel, message))
        return result
