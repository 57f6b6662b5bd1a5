"""Looks how the channels' deliveries go, so that somebody hears when one does not deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import asyncpg

from alerts_svc.instruments import Instruments
from alerts_svc.store import channel_health

INTERVAL_SECONDS = 5.0


class ChannelWatch:
    """Remembers what it saw last; a look is needed only where somebody acts."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        instruments: Instruments,
        *,
        acting: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._instruments = instruments
        self._acting = acting
        self._given_up: Mapping[str, int] | None = None

    def given_up(self) -> Mapping[str, int] | None:
        """Return how many of each channel's last deliveries were given up, ``None`` while that is not known."""
        return self._given_up

    async def tick(self) -> None:
        """Look once."""
        if not self._acting():
            self._given_up = None
            self._instruments.queued.clear()
            return
        found = await channel_health.read(self._pool)
        self._given_up = {name: health.given_up for name, health in found.items()}
        self._instruments.queued.clear()
        for name, health in found.items():
            self._instruments.queued.labels(name).set(health.waiting)
