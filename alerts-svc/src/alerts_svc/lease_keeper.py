"""Keeps the lease: only the process that holds it evaluates, decides and sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from alerts_svc.ports import Lease, LeaseLostError, Leases
from alerts_svc.timekeeper import Timekeeper

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Campaigns for the lease with each tick, four times in its life.

    ``answered_at`` is when the store answered last (monotonic), ``None`` before it ever has. ``failed_at`` is when the
    first and the last campaign since then turned out to have no answer: a process that stood still has none. ``changed`` is called
    when the lease came, went, or tells of another revision.
    """

    def __init__(
        self,
        leases: Leases,
        timekeeper: Timekeeper,
        owner: str,
        *,
        ttl: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.answered_at: float | None = None
        self.failed_at: tuple[float, float] | None = None
        self.held: Lease | None = None
        self.changed = changed
        self._leases = leases
        self._time = timekeeper
        self._owner = owner
        self._ttl = ttl

    @property
    def interval(self) -> float:
        """Return the seconds between two campaigns."""
        return self._ttl / 4

    @property
    def lease(self) -> Lease | None:
        """Return the lease while it lasts. ``held`` still tells of the last one after it ran out."""
        if self.held is None or self._time.monotonic() >= self.held.expires_at:
            return None
        return self.held

    async def tick(self) -> None:
        """Take or renew the lease; raises what the store raises, and the lease lasts on to its end."""
        before = self.held
        # Also of a lease that has run out: if nobody has taken it meanwhile, time goes on from this count.
        counted = self._time.own() if before is not None else None
        try:
            lease = await self._campaign(counted)
        except Exception:
            now = self._time.monotonic()
            self.failed_at = (now if self.failed_at is None else self.failed_at[0], now)
            raise
        self.answered_at, self.failed_at = self._time.monotonic(), None
        self.held = lease
        if lease is not None:
            self._time.renewed(lease)
        self._tell(before, lease)

    async def _campaign(self, own: float | None) -> Lease | None:
        """Return what the store says; raises ``TimeoutError`` when the next campaign is due.

        A store that stands still does not take note of a cancellation either, so nobody waits for the end of that.
        """
        asking = asyncio.ensure_future(self._leases.campaign(self._owner, ttl=self._ttl, own=own))
        asking.add_done_callback(_look_at)
        try:
            await asyncio.wait({asking}, timeout=max(1.0, self.interval))
            if not asking.done():
                raise TimeoutError
            return asking.result()
        finally:
            asking.cancel()

    def _tell(self, before: Lease | None, lease: Lease | None) -> None:
        if lease is not None and (before is None or before.fence != lease.fence):
            log.info("lease_taken", owner=lease.owner, fence=lease.fence)
        elif lease is None and before is not None:
            log.warning("lease_lost", owner=before.owner, fence=before.fence)
        elif lease is None or before is None or lease.revision == before.revision:
            return
        self.changed()

    def lost(self, lease: Lease) -> None:
        """Take note that the store refused what was done under ``lease``."""
        if self.held is not None and self.held.fence == lease.fence:
            log.warning("lease_lost", owner=lease.owner, fence=lease.fence)
            self.held = None

    async def resign(self) -> None:
        """Give the lease up, so that another replica need not wait for its end."""
        lease, self.held = self.held, None
        if lease is None:
            return
        try:
            async with asyncio.timeout(self.interval):
                await self._leases.resign(lease)
        except LeaseLostError:
            return
        log.info("lease_resigned", owner=lease.owner, fence=lease.fence)


def _look_at(asking: asyncio.Future[Lease | None]) -> None:
    # Or asyncio would complain of a failure that came too late for anybody.
    if not asking.cancelled():
        asking.exception()
