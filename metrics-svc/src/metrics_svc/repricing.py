"""Prices applied again to stored calls, slice by slice, between the flushes of what comes in."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.repricing import Change, Outcome, rows_found
from metrics_svc.domain.tally import Prices
from metrics_svc.ingest import Ingest, Prepared
from metrics_svc.store import calls
from metrics_svc.store.calls import Selection
from metrics_svc.store.series import SeriesRegistry
from windsock_kit.errors import ConflictError
from windsock_kit.postgres import unavailable

# A slice shares its transaction with batches, which wait for it.
SLICE_ROWS = 1_000
# How long one request goes on, so that it is answered before a client or a proxy gives up.
BUDGET_SECONDS = 20.0


class BusyError(ConflictError):
    """Prices are being applied again already."""

    code = "reprice_running"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and until when: ``done_until`` is the selection's end if all of it was."""

    outcome: Outcome
    done_until: datetime


class Repricer:
    """Charges stored calls again. Doing it twice, or twice at once, changes and counts nothing twice."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        ingest: Ingest,
        series: SeriesRegistry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._ingest = ingest
        self._series = series
        self._monotonic = monotonic

    async def run(self, selection: Selection, prices: Prices, *, dry_run: bool) -> Report:
        """Apply ``prices`` to the selected calls, as far as the time allows; at least one moment's."""
        # What was charged before this request and waits for its commit shall be among the calls.
        await self._ingest.settled()
        outcome = Outcome()
        deadline = self._monotonic() + BUDGET_SECONDS
        last: datetime | None = None
        with unavailable("the store cannot apply prices now; the same request can be sent again"):
            async with calls.repricing(self._pool) as connection:
                if connection is None:
                    raise BusyError("prices are being applied already; try again when that is done")
                async with aclosing(calls.slices(connection, selection, SLICE_ROWS)) as slices:
                    async for found in slices:
                        start = found[0].timestamp
                        # Calls of one moment stay together, so that going on from there leaves none out.
                        if last not in (None, start) and self._monotonic() > deadline:
                            return Report(outcome, start)
                        last = found[-1].timestamp
                        change = outcome.examine(found, prices)
                        if change is not None and not dry_run:
                            outcome.changed += await self._apply(change)
        return Report(outcome, selection.end)

    async def _apply(self, change: Change) -> int:
        ids = await self._series.counted(change.tally.kind.name, change.tally.wanted())

        async def work(connection: PoolConnectionProxy[asyncpg.Record]) -> Prepared:
            positions = await calls.recharge(connection, change)
            tally = change.times(rows_found(positions, len(change)))
            if not tally.single.counters.any():
                return Prepared(accepted=len(positions))
            return Prepared(totals={tally.kind.name: tally.block(ids)}, accepted=len(positions))

        return (await self._ingest.submit(len(change), work)).accepted
