"""The editions of the store: what the server offers, and the little that is done differently on each.

The server decides, never a setting: TimescaleDB under its community licence (hypertables and columnstore),
TimescaleDB under Apache-2 (hypertables), or PostgreSQL alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger(__name__)

Connection = PoolConnectionProxy
CHUNK = timedelta(days=1)
DELETE_ROWS = 10_000
# Turning a table into a hypertable moves its rows while nobody else may touch it. Up to this size that takes
# a few seconds; what is larger waits for the operator (docs/store.md).
MAX_MOVED_BYTES = 64 * 2**20
# by_range() came with 2.13, the names with "columnstore" with 2.18.
_OLDEST = (2, 13)
_COLUMNSTORE_NAMES = (2, 18)


class Edition(StrEnum):
    """What the store runs on."""

    COMMUNITY = "timescaledb-community"
    APACHE = "timescaledb-apache-2"
    PLAIN = "postgresql"


@dataclass(frozen=True, slots=True)
class Server:
    """The server as found; ``timescaledb`` is the version of the extension where it is installed."""

    edition: Edition
    version: str
    timescaledb: str | None = None

    def has_columnstore_names(self) -> bool:
        """Return whether the columnstore is called so, and not yet compression."""
        return _numbers(self.timescaledb) >= _COLUMNSTORE_NAMES


@dataclass(frozen=True, slots=True)
class Freed:
    """What one step of retention removed; ``more`` is left for the next one."""

    rows: int = 0
    chunks: int = 0
    size: int = 0
    more: bool = False


def _numbers(version: str | None) -> tuple[int, ...]:
    major, _, rest = (version or "").partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


_DETECT = """
    SELECT
        split_part(current_setting('server_version'), ' ', 1) AS version,
        (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
        current_setting('timescaledb.license', true) AS license
"""


async def detect(
    connection: asyncpg.Pool[asyncpg.Record] | Connection[asyncpg.Record],
) -> Server:
    """Return what the server is."""
    row = await connection.fetchrow(_DETECT)
    assert row is not None
    installed: str | None = row["timescaledb"]
    if _numbers(installed) < _OLDEST:
        return Server(Edition.PLAIN, row["version"])
    licensed = row["license"] == "timescale"
    return Server(
        Edition.COMMUNITY if licensed else Edition.APACHE, row["version"], timescaledb=installed
    )


# The setting exists where the server has preloaded the extension; creating it anywhere else ends the session.
_OFFERED = """
    SELECT
        current_setting('timescaledb.max_background_workers', true) IS NOT NULL
        AND EXISTS (
            SELECT FROM pg_available_extensions
            WHERE name = 'timescaledb' AND installed_version IS NULL
        )
"""


async def extend(connection: Connection[asyncpg.Record]) -> Server:
    """Install TimescaleDB if the server offers it and this role may; return what the server then is."""
    server = await detect(connection)
    if server.edition is Edition.PLAIN and await connection.fetchval(_OFFERED):
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        except asyncpg.PostgresError as error:
            log.info("timescaledb_not_installed", reason=str(error))
        else:
            server = await detect(connection)
            log.info("timescaledb_installed", edition=server.edition, version=server.timescaledb)
    return server


_IS_HYPERTABLE = """
    SELECT EXISTS (
        SELECT FROM timescaledb_information.hypertables
        WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass = $1::text::regclass
    )
"""
_SIZE = "SELECT pg_table_size($1::text::regclass)"
_MAKE_HYPERTABLE = """
    SELECT created
    FROM create_hypertable(
        $1::text::regclass, by_range('ts', $2::interval),
        create_default_indexes => false, if_not_exists => true, migrate_data => true
    )
"""


async def prepare(
    connection: Connection[asyncpg.Record], server: Server, table: str, columnstore_after: timedelta
) -> None:
    """Give a table of events the form that the edition has for it; doing it again changes nothing."""
    if server.edition is Edition.PLAIN:
        return
    if not await connection.fetchval(_IS_HYPERTABLE, table):
        size = await connection.fetchval(_SIZE, table)
        if size > MAX_MOVED_BYTES:
            log.warning("hypertable_left_to_operator", table=table, bytes=size)
            return
        await connection.execute(_MAKE_HYPERTABLE, table, CHUNK)
        log.info("hypertable_made", table=table)
    if server.edition is Edition.COMMUNITY:
        await _set_up_columnstore(connection, server, table, columnstore_after)


_COLUMNSTORE = """
    SELECT
        h.compression_enabled AS enabled,
        EXISTS (
            SELECT FROM timescaledb_information.jobs AS j
            WHERE j.hypertable_schema = h.hypertable_schema AND j.hypertable_name = h.hypertable_name
                AND j.proc_name = 'policy_compression'
                AND (j.config ->> 'compress_after')::interval = $2::interval
        ) AS scheduled
    FROM timescaledb_information.hypertables AS h
    WHERE format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass = $1::text::regclass
"""
_ENABLE = """ALTER TABLE %s SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'operation', timescaledb.orderby = 'ts DESC'
)"""
_ENABLE_COMPRESSION = """ALTER TABLE %s SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'operation', timescaledb.compress_orderby = 'ts DESC'
)"""
_UNSCHEDULE = "CALL remove_columnstore_policy($1::text::regclass, if_exists => true)"
_SCHEDULE = "CALL add_columnstore_policy($1::text::regclass, after => $2::interval)"
_UNSCHEDULE_COMPRESSION = "SELECT remove_compression_policy($1::text::regclass, if_exists => true)"
_SCHEDULE_COMPRESSION = (
    "SELECT add_compression_policy($1::text::regclass, compress_after => $2::interval)"
)


async def _set_up_columnstore(
    connection: Connection[asyncpg.Record], server: Server, table: str, after: timedelta
) -> None:
    row = await connection.fetchrow(_COLUMNSTORE, table, after)
    if row is None or (row["enabled"] and row["scheduled"]):
        return
    async with connection.transaction():
        if server.has_columnstore_names():
            # Newer versions may have enabled it with choices and a schedule of their own.
            await connection.execute(await _statement(connection, _ENABLE, table))
            await connection.execute(_UNSCHEDULE, table)
            await connection.execute(_SCHEDULE, table, after)
        else:
            # Old versions refuse to set again what is set.
            if not row["enabled"]:
                await connection.execute(await _statement(connection, _ENABLE_COMPRESSION, table))
            await connection.execute(_UNSCHEDULE_COMPRESSION, table)
            await connection.execute(_SCHEDULE_COMPRESSION, table, after)
    log.info("columnstore_scheduled", table=table, after_days=after.days)


async def _statement(connection: Connection[asyncpg.Record], pattern: str, table: str) -> str:
    """Return ``pattern`` with the table's name in it, quoted by the server itself."""
    made: str = await connection.fetchval("SELECT format($1, $2::text::regclass)", pattern, table)
    return made


# Compressed chunks keep their bytes in a second table, which this function counts and pg_table_size does not.
_OLD_CHUNKS = """
    SELECT count(*) AS chunks, COALESCE(sum(total_bytes), 0)::bigint AS size
    FROM chunks_detailed_size($1::text::regclass)
    WHERE format('%I.%I', chunk_schema, chunk_name)::regclass = ANY(
        ARRAY(SELECT show_chunks($1::text::regclass, older_than => $2::timestamptz))
    )
"""
_DROP_CHUNKS = "SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz)"
# A batch holds its row locks for some milliseconds, and nobody else wants rows that old. The time is asked for
# twice because a ctid tells a row only within one table: whoever partitions this one must not lose young rows.
_DELETE = """
    DELETE FROM %1$s
    WHERE ts < $1 AND ctid = ANY(ARRAY(SELECT ctid FROM %1$s WHERE ts < $1 ORDER BY ts LIMIT $2))
"""


async def expire(
    connection: Connection[asyncpg.Record], server: Server, table: str, before: datetime
) -> Freed:
    """Remove events of before ``before``: whole chunks of a hypertable, else one batch of rows.

    A chunk goes when all of it is old, so a hypertable keeps up to one chunk more.
    """
    chunked = server.edition is not Edition.PLAIN
    if chunked and await connection.fetchval(_IS_HYPERTABLE, table):
        row = await connection.fetchrow(_OLD_CHUNKS, table, before)
        if row is None or not row["chunks"]:
            return Freed()
        dropped = await connection.fetch(_DROP_CHUNKS, table, before)
        return Freed(chunks=len(dropped), size=row["size"])
    delete = await _statement(connection, _DELETE, table)
    status = await connection.execute(delete, before, DELETE_ROWS)
    rows = int(status.rpartition(" ")[2])
    return Freed(rows=rows, more=rows == DELETE_ROWS)
