"""Tells on Redis that data changed, so that nobody need ask every moment.

An announcement is a hint. It comes after the commit that it is about, and whoever misses one finds the data all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from metrics_svc.domain.tally import Row
from metrics_svc.instruments import Instruments
from windsock_kit.loops import guarding
from windsock_kit.redis_faults import redis_faults

log = structlog.get_logger(__name__)

CHANNEL: Final = "windsock:metrics:changed"
GAP_SECONDS: Final = 0.2
REST_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 0.5
MAX_OPERATIONS: Final = 100


Committed = Callable[[Iterable[Mapping[str, Sequence[Row]]]], None]


@dataclass(slots=True)
class _News:
    """What was committed since the last announcement, whose size has a bound."""

    kinds: set[str] = field(default_factory=set)
    latest: dict[str, datetime] = field(default_factory=dict)
    unnamed: datetime | None = None
    overflown: bool = False

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        """Take note of stored rows; the first two columns of every kind are its time and its operation."""
        self.kinds.add(kind)
        for row in rows:
            at, operation = row[0], row[1]
            known = self.latest.get(operation) if operation is not None else self.unnamed
            if known is not None and known >= at:
                continue
            if operation is None or (known is None and len(self.latest) >= MAX_OPERATIONS):
                self.overflown = self.overflown or operation is not None
                self.unnamed = at if self.unnamed is None or self.unnamed < at else self.unnamed
            else:
                self.latest[operation] = at

    def body(self, now: float) -> dict[str, object]:
        """Return it as it is published."""
        times = [*self.latest.values(), *([] if self.unnamed is None else [self.unnamed])]
        return {
            "kinds": sorted(self.kinds),
            "operations": None if self.overflown else sorted(self.latest),
            "latest_event_at": round(max(times).timestamp(), 3) if times else None,
            "committed_at": round(now, 3),
            "latest_by_operation": {
                operation: round(at.timestamp(), 3) for operation, at in self.latest.items()
            },
        }


class Announcements:
    """Publishes what was committed, joined, at most every ``GAP_SECONDS``; while Redis is away it waits and joins on."""

    def __init__(
        self, url: str, instruments: Instruments, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._published = instruments.announcements
        self._clock = clock
        self._news = _News()
        self._committed_at = 0.0
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._away = False

    def committed(self, parts: Iterable[Mapping[str, Sequence[Row]]]) -> None:
        """Take note of committed rows by kind; costs a look at each row and never fails or waits."""
        for part in parts:
            for kind, rows in part.items():
                self._news.add(kind, rows)
        if self._news.kinds:
            self._committed_at = self._clock()
            self._arrived.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Publish for the life of the block, and at its end what is left, if Redis is there."""
        task = asyncio.create_task(self._run(), name="announcements")
        try:
            with guarding([task]):
                yield
        finally:
            self._stopping.set()
            self._arrived.set()
            await task
            await self._client.aclose()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._arrived.wait()
            published = await self._publish()
            # Commits meanwhile are joined.
            await self._rest(GAP_SECONDS if published else REST_SECONDS)
        await self._publish()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _publish(self) -> bool:
        self._arrived.clear()
        news, self._news = self._news, _News()
        if not news.kinds:
            return True
        body = orjson.dumps(news.body(self._committed_at))
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                await self._client.publish(CHANNEL, body)
        except redis_faults as error:
            self._keep(news)
            self._published.labels("failed").inc()
            if not self._away:
                log.warning("announcements_interrupted", kind=type(error).__name__)
            self._away = True
            return False
        self._published.labels("published").inc()
        if self._away:
            log.info("announcements_resumed")
        self._away = False
        return True

    def _keep(self, news: _News) -> None:
        """Join what could not be published with what came meanwhile."""
        later, self._news = self._news, news
        for kind in later.kinds:
            news.add(kind, [(at, operation) for operation, at in later.latest.items()])
            news.add(kind, [(later.unnamed, None)] if later.unnamed is not None else [])
        news.overflown = news.overflown or later.overflown
        self._arrived.set()


@asynccontextmanager
async def announcing(url: str, instruments: Instruments) -> AsyncGenerator[Committed]:
    """Yield what is to be told of each commit; without an address it goes nowhere."""
    if not url:
        yield lambda _: None
        return
    announcements = Announcements(url, instruments)
    async with announcements.running():
        yield announcements.committed
