"""Own prices, in versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from metrics_svc.domain.price_list import OwnPrice, OwnPrices

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[OwnPrice, ...])


@dataclass(frozen=True, slots=True)
class PriceList:
    """A version of the own prices with when and by whom it was set; nobody has set version 0."""

    own: OwnPrices
    set_at: datetime | None = None
    set_by: str | None = None


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """What is told of a version without its prices."""

    version: int
    size: int
    set_at: datetime
    set_by: str | None


NOBODYS = PriceList(OwnPrices())
MAX_VERSION = 2**31 - 1

_LATEST_VERSION = "SELECT coalesce(max(version), 0) FROM metrics.price_lists"
_LATEST = """
    SELECT version, prices, set_at, set_by FROM metrics.price_lists ORDER BY version DESC LIMIT 1
"""
_ONE = "SELECT version, prices, set_at, set_by FROM metrics.price_lists WHERE version = $1"
_HISTORY = """
    SELECT version, size, set_at, set_by
    FROM metrics.price_lists
    WHERE $1::integer IS NULL OR version < $1
    ORDER BY version DESC
    LIMIT $2
"""


async def latest_version(pool: asyncpg.Pool[asyncpg.Record]) -> int:
    """Return the number of the list that is in force."""
    version: int = await pool.fetchval(_LATEST_VERSION)
    return version


async def latest(pool: asyncpg.Pool[asyncpg.Record]) -> PriceList:
    """Return the list that is in force."""
    return _list(await pool.fetchrow(_LATEST)) or NOBODYS


async def find(pool: asyncpg.Pool[asyncpg.Record], version: int) -> PriceList | None:
    """Return one version, ``None`` if there never was one."""
    return _list(await pool.fetchrow(_ONE, version)) if version <= MAX_VERSION else None


async def history(
    pool: asyncpg.Pool[asyncpg.Record], *, before: int | None, limit: int
) -> list[PriceVersion]:
    """Return versions, newest first."""
    rows = await pool.fetch(_HISTORY, before, limit)
    return [PriceVersion(r["version"], r["size"], r["set_at"], r["set_by"]) for r in rows]


# Writers wait for each other, so that versions follow one another; readers do not wait.
_ONE_WRITER = "LOCK TABLE metrics.price_lists IN SHARE ROW EXCLUSIVE MODE"
_ADD = """
    INSERT INTO metrics.price_lists (version, size, prices, set_by)
    VALUES ($1, $2, $3, $4)
    RETURNING version, prices, set_at, set_by
"""


async def change(
    pool: asyncpg.Pool[asyncpg.Record], to: Callable[[PriceList], OwnPrices], *, set_by: str | None
) -> PriceList:
    """Store what ``to`` makes of the list in force, unless that is the same version; return what is in force."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_ONE_WRITER)
        current = _list(await connection.fetchrow(_LATEST)) or NOBODYS
        wanted = to(current)
        if wanted.version == current.own.version:
            return current
        text = _encoder.encode(wanted.prices).decode()
        made = _list(
            await connection.fetchrow(_ADD, wanted.version, len(wanted.prices), text, set_by)
        )
        assert made is not None
        return made


def _list(row: asyncpg.Record | None) -> PriceList | None:
    if row is None:
        return None
    own = OwnPrices(row["version"], _decoder.decode(row["prices"]))
    return PriceList(own, row["set_at"], row["set_by"])
