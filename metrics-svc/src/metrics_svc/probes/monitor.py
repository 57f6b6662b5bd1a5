"""The probes at work: all targets at once, the latest results in memory, every result as an event."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import structlog

from metrics_svc.domain.event import Probe
from metrics_svc.domain.health import ProbeResult, aged
from metrics_svc.probes.check import check
from metrics_svc.probes.target import Target
from windsock_kit.errors import UnavailableError
from windsock_kit.loops import STALE_INTERVALS

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 2.0
# Results wait here while the store is away, or it would never be told that it was. The oldest go first.
MAX_WAITING = 360
# What is started together with the service comes up within seconds: so long each tick is followed soon.
SETTLING_TICKS = 20
SETTLING_SECONDS = 1.0

Submit = Callable[[UUID, Sequence[Probe]], Awaitable[object]]


class Probes:
    """Probes ``targets`` whenever ``tick`` is called; ``submit`` stores a batch of events once."""

    def __init__(
        self,
        targets: Sequence[Target],
        submit: Submit,
        *,
        interval: float,
        clock: Callable[[], datetime],
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._targets = targets
        self._submit = submit
        self._clock = clock
        self._timeout = timeout
        self._longest = timedelta(seconds=STALE_INTERVALS * interval + timeout)
        self._latest = {t.name: ProbeResult(t.name, t.kind) for t in targets}
        self._waiting: deque[tuple[UUID, list[Probe]]] = deque(maxlen=MAX_WAITING)
        self._sending: asyncio.Task[None] | None = None
        self._never_up = set(self._latest)
        self._ticks = 0

    @property
    def settling(self) -> bool:
        """Whether the service is new and waits for a target that it has not seen up yet."""
        return bool(self._never_up) and self._ticks < SETTLING_TICKS

    def latest(self) -> list[ProbeResult]:
        """Return the latest result of each target, in the order of the configuration."""
        now = self._clock()
        return [aged(result, now, self._longest) for result in self._latest.values()]

    async def tick(self) -> None:
        """Probe all targets at once and hand the results on; never waits for the store."""
        results = await asyncio.gather(
            *(check(target, seconds=self._timeout, now=self._clock) for target in self._targets),
            return_exceptions=True,
        )
        self._ticks += 1
        found: list[ProbeResult] = []
        for target, result in zip(self._targets, results, strict=True):
            if isinstance(result, BaseException):
                # Without its text: that may hold the address, and the address a password.
                log.error("probe_failed", target=target.name, error=type(result).__name__)
            else:
                found.append(result)
                self._note(result)
        self._waiting.append((uuid4(), [_event(result) for result in found]))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="probe-events")

    def _note(self, result: ProbeResult) -> None:
        before = self._latest[result.target].status
        self._latest[result.target] = result
        if result.status == "up":
            self._never_up.discard(result.target)
        if result.status == before or (before == "unknown" and result.status == "up"):
            return
        write = log.warning if result.status == "down" else log.info
        write("probe_changed", target=result.target, status=result.status, detail=result.detail)

    async def _send(self) -> None:
        """Submit what waits, oldest first; what fails keeps its batch id and waits for the next tick."""
        while self._waiting:
            batch_id, events = self._waiting[0]
            try:
                await self._submit(batch_id, events)
            except (UnavailableError, asyncpg.PostgresError) as error:
                log.warning("probe_events_waiting", batches=len(self._waiting), error=repr(error))
                return
            # A full queue may have pushed it out meanwhile.
            if self._waiting and self._waiting[0][0] == batch_id:
                self._waiting.popleft()

    async def settle(self) -> None:
        """Wait until the running submission has ended."""
        if self._sending is not None:
            await self._sending

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """End the running submission when the block ends; what still waits is lost with the process."""
        try:
            yield
        finally:
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.gather(self._sending, return_exceptions=True)


def _event(result: ProbeResult) -> Probe:
    return Probe(
        timestamp=result.checked_at,
        target=result.target,
        kind=result.kind,
        up=result.status == "up",
        latency_ms=result.latency_ms,
        detail=result.detail,
    )
