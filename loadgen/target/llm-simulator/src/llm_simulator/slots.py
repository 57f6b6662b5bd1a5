"""Bounded slots with a bounded queue, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class QueueFullError(Exception):
    """As many wait already as may."""


class Slots:
    """So many calls run at once, so many more wait."""

    def __init__(self, slots: int, queue: int) -> None:
        self.slots = slots
        self.queue = queue
        self.busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self) -> None:
        """Take a slot, waiting for one if need be; raises ``QueueFullError`` at once when too many wait."""
        if self.busy < self.slots:
            self.busy += 1
            return
        if len(self._waiting) >= self.queue:
            raise QueueFullError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()
            # A slot given back since the cancelling has passed it over and dropped it.
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Hand the slot to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1
