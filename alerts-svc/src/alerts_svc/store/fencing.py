"""What every write of the one that acts begins with, and what every write of people ends with."""

from __future__ import annotations

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.ports import Lease, LeaseLostError, StaleWorldError

Connection = PoolConnectionProxy
CHANNEL = "alerts_changed"

# Held until the transaction ends: a new owner, and people's changes, come before it or after it.
_HOLD = """
    SELECT l.owner = $1 AND l.fence = $2 AS acts, r.value AS revision
    FROM alerts.leases AS l
    CROSS JOIN alerts.revision AS r
    WHERE l.name = 'acting'
    FOR KEY SHARE OF l
    FOR SHARE OF r
"""
_HOLD_LEASE = """
    SELECT owner = $1 AND fence = $2 FROM alerts.leases WHERE name = 'acting' FOR KEY SHARE
"""


def lost(lease: Lease) -> LeaseLostError:
    """Return the error for a lease that is not the last one."""
    return LeaseLostError(f"{lease.owner} no longer acts: fence {lease.fence} is not the last one")


async def hold(connection: Connection[asyncpg.Record], lease: Lease, revision: int) -> None:
    """Keep lease and revision as they are while the transaction lasts, if they are still these."""
    row = await connection.fetchrow(_HOLD, lease.owner, lease.fence)
    if row is None or not row["acts"]:
        raise lost(lease)
    if row["revision"] != revision:
        raise StaleWorldError(f"decided at revision {revision}, which is now {row['revision']}")


async def hold_lease(connection: Connection[asyncpg.Record], lease: Lease) -> None:
    """Keep the lease as it is while the transaction lasts, if it is still this one."""
    if not await connection.fetchval(_HOLD_LEASE, lease.owner, lease.fence):
        raise lost(lease)


# Shared by people's changes. Who holds it alone makes them wait; who asks for it alone comes before those that ask later.
_TURN = 4_101_958_001
_SHARE_TURN = "SELECT pg_advisory_xact_lock_shared($1)"
_TAKE_TURN = "SELECT pg_advisory_xact_lock($1)"
_GROW = """
    WITH grown AS (UPDATE alerts.revision SET value = value + 1 RETURNING value)
    SELECT pg_notify($1, 'revision:' || value) FROM grown
"""
_NOTIFY = "SELECT pg_notify($1, $2)"


async def grow(connection: Connection[asyncpg.Record]) -> None:
    """Make what was decided before the transaction's end stale, and wake the one that acts.

    This comes first in a transaction of people's changes, so that they wait for each other in one order.
    """
    await connection.execute(_SHARE_TURN, _TURN)
    await connection.execute(_GROW, CHANNEL)


async def hush(connection: Connection[asyncpg.Record]) -> None:
    """Make people's changes wait while the transaction lasts, so that what is read meanwhile stays so."""
    await connection.execute(_TAKE_TURN, _TURN)


async def notify(connection: Connection[asyncpg.Record], what: str) -> None:
    """Wake the one that acts when the transaction has ended."""
    await connection.execute(_NOTIFY, CHANNEL, what)
