"""The prices in force, held in memory and kept up with the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from metrics_svc.domain.price import Catalogue, PriceBook
from metrics_svc.domain.price_list import OwnPrices
from metrics_svc.store import prices
from metrics_svc.store.prices import PriceList, PriceVersion
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

_DETAIL = "the prices cannot be reached now"


class PriceKeeper:
    """Knows the own prices once the store has told them, and notices when another process changes them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._lock = asyncio.Lock()
        self._known: tuple[PriceList, PriceBook] | None = None

    def book(self) -> PriceBook:
        """Return the prices in force; raises ``UnavailableError`` while the own ones are not known yet.

        The catalogue alone would charge calls wrongly, and a sender can come back.
        """
        if self._known is None:
            raise UnavailableError("the own prices are not known yet", retry_after=1)
        return self._known[1]

    async def current(self) -> tuple[PriceList, PriceBook]:
        """Return the prices that the store holds now, and keep them."""
        with unavailable(_DETAIL):
            async with self._lock:
                version = await prices.latest_version(self._pool)
                if self._known is None or self._known[0].own.version != version:
                    self._keep(await prices.latest(self._pool))
        assert self._known is not None
        return self._known

    async def change(
        self, to: Callable[[PriceList, PriceBook], OwnPrices], *, set_by: str | None
    ) -> tuple[PriceList, PriceBook]:
        """Put in force what ``to`` makes of the prices in force, for this process at once."""

        def decide(held: PriceList) -> OwnPrices:
            return to(held, PriceBook(self._catalogue, held.own))

        with unavailable(_DETAIL):
            async with self._lock:
                self._keep(await prices.change(self._pool, decide, set_by=set_by))
        assert self._known is not None
        return self._known

    async def version(self, number: int) -> PriceList | None:
        """Return one version of the own prices, ``None`` if there never was one."""
        with unavailable(_DETAIL):
            return await prices.find(self._pool, number)

    async def history(self, *, before: int | None, limit: int) -> list[PriceVersion]:
        """Return the versions of the own prices, newest first."""
        with unavailable(_DETAIL):
            return await prices.history(self._pool, before=before, limit=limit)

    async def tick(self) -> None:
        """Look for another process's change. While the store is away, what is known stays in force."""
        try:
            await self.current()
        except UnavailableError as error:
            log.warning("prices_not_refreshed", known=self._known is not None, reason=error.detail)

    def _keep(self, found: PriceList) -> None:
        if self._known is not None and self._known[0].own.version == found.own.version:
            return
        self._known = found, PriceBook(self._catalogue, found.own)
        log.info("prices_in_force", version=self._known[1].version, own=len(found.own.prices))
