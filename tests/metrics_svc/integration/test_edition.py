"""What the service makes of the server that it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import structlog

from metrics_svc.housekeeping import Housekeeping, HousekeepingError, Periods
from metrics_svc.store import edition
from metrics_svc.store.edition import Edition
from metrics_svc.store.events import TABLES
from windsock_embedded.postgres import PostgresServer
from windsock_kit.clock import utc_now
from windsock_kit.postgres import open_pool

NewDatabase = Callable[[], Awaitable[str]]
DAY = timedelta(days=1)
PERIODS = Periods(30 * DAY, {10: 3 * DAY, 3600: 400 * DAY}, 8 * DAY, 8 * DAY)
INSERT = """
    INSERT INTO metrics.performance (ts, operation, environment, duration_ms, status)
    SELECT $1::timestamptz + number * $2::interval, 'search', 'production', number, 'ok'
    FROM generate_series(0, $3::integer - 1) AS number
"""
HYPERTABLES = """
    SELECT h.hypertable_name::text AS name, d.time_interval AS chunk
    FROM timescaledb_information.hypertables AS h
    JOIN timescaledb_information.dimensions AS d USING (hypertable_schema, hypertable_name)
    WHERE h.hypertable_schema = 'metrics'
"""
INDEXES = "SELECT indexname::text FROM pg_indexes WHERE tablename = $1 AND schemaname = 'metrics'"


def pool_of(url: str) -> Any:
    return open_pool(url, application_name="test", min_size=0, max_size=4)


async def test_plain_server_is_told_and_its_tables_stay(new_database: NewDatabase) -> None:
    async with pool_of(await new_database()) as pool:
        more = await Housekeeping(pool, PERIODS, utc_now).tick()

        server = await edition.detect(pool)
        kinds = await pool.fetch(
            "SELECT relkind FROM pg_class WHERE oid = 'metrics.probes'::regclass"
        )

    assert not more
    assert server.edition is Edition.PLAIN
    assert int(server.version.partition(".")[0]) >= 15
    assert server.timescaledb is None
    assert [row["relkind"] for row in kinds] == [b"r"]


async def test_extension_that_is_offered_is_installed(new_apache_database: NewDatabase) -> None:
    async with pool_of(await new_apache_database()) as pool:
        before = await edition.detect(pool)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        after = await edition.detect(pool)

    assert before.edition is Edition.PLAIN
    assert after.edition is Edition.APACHE
    assert after.timescaledb is not None


async def test_hypertables_get_chunks_of_a_day_and_no_second_index(
    new_apache_database: NewDatabase,
) -> None:
    async with pool_of(await new_apache_database()) as pool:
        await Housekeeping(pool, PERIODS, utc_now).tick()

        tables = {row["name"]: row["chunk"] for row in await pool.fetch(HYPERTABLES)}
        indexes = [row[0] for row in await pool.fetch(INDEXES, "performance")]

    assert tables == dict.fromkeys(TABLES.values(), DAY)
    assert indexes == ["performance_ts"]


async def test_rows_from_before_are_moved_into_chunks(new_apache_database: NewDatabase) -> None:
    async with pool_of(await new_apache_database()) as pool:
        await pool.execute(INSERT, utc_now() - 5 * DAY, timedelta(hours=1), 100)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        rows = await pool.fetchval("SELECT count(*) FROM metrics.performance")
        left = await pool.fetchval("SELECT count(*) FROM ONLY metrics.performance")
        chunks = await pool.fetchval("SELECT count(*) FROM show_chunks('metrics.performance')")
    assert (rows, left) == (100, 0)
    assert chunks in {5, 6}


async def test_doing_it_again_changes_nothing(new_store: NewDatabase) -> None:
    catalog = """
        SELECT oid::regclass::text, relkind, reloptions FROM pg_class
        WHERE relnamespace = 'metrics'::regnamespace ORDER BY 1
    """
    async with pool_of(await new_store()) as pool:
        housekeeping = Housekeeping(pool, PERIODS, utc_now)
        await housekeeping.tick()
        first = await pool.fetch(catalog)

        await housekeeping.tick()

        assert await pool.fetch(catalog) == first


async def test_columnstore_is_scheduled_where_the_edition_has_it(
    new_community_database: NewDatabase,
) -> None:
    jobs = """
        SELECT hypertable_name::text, (config ->> 'compress_after')::interval
        FROM timescaledb_information.jobs
        WHERE proc_name = 'policy_compression' AND hypertable_schema = 'metrics'
    """
    columns = """
        SELECT DISTINCT attname::text, segmentby_column_index, orderby_column_index, orderby_asc
        FROM timescaledb_information.compression_settings
        WHERE segmentby_column_index IS NOT NULL OR orderby_column_index IS NOT NULL
    """
    async with pool_of(await new_community_database()) as pool:
        for days in (8, 9):
            periods = Periods(30 * DAY, PERIODS.rollups, 8 * DAY, days * DAY)

            await Housekeeping(pool, periods, utc_now).tick()

            found = {row[0]: row[1] for row in await pool.fetch(jobs)}
            assert found == dict.fromkeys(TABLES.values(), days * DAY)
        settings = [tuple(row) for row in await pool.fetch(columns)]
    assert sorted(settings, key=str) == [("operation", 1, None, None), ("ts", None, 1, False)]


async def test_role_that_may_not_install_goes_on_without(
    apache_server: PostgresServer, new_apache_database: NewDatabase
) -> None:
    url = await new_apache_database()
    database = url.partition("?")[0].rpartition("/")[2]
    owner = await asyncpg.connect(apache_server.url(database))
    await owner.execute(f'REVOKE CREATE ON DATABASE "{database}" FROM metrics')
    await owner.close()
    async with pool_of(url) as pool:
        with structlog.testing.capture_logs() as logs:
            await Housekeeping(pool, PERIODS, utc_now).tick()

        assert (await edition.detect(pool)).edition is Edition.PLAIN
    (told,) = [entry for entry in logs if entry["event"] == "timescaledb_not_installed"]
    assert "permission denied" in told["reason"]


async def test_table_that_takes_long_to_move_is_left_to_the_operator(
    new_apache_database: NewDatabase,
) -> None:
    wide = """
        INSERT INTO metrics.performance
            (ts, operation, environment, duration_ms, status, error_message)
        SELECT now(), 'search', 'production', 1, 'ok', repeat(md5(number::text), 60)
        FROM generate_series(1, 40000) AS number
    """
    async with pool_of(await new_apache_database()) as pool:
        await pool.execute(wide)
        await pool.execute(INSERT, utc_now() - 40 * DAY, timedelta(0), 10)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        made = {row["name"] for row in await pool.fetch(HYPERTABLES)}
        rows = await pool.fetchval("SELECT count(*) FROM metrics.performance")
    assert made == set(TABLES.values()) - {"performance"}
    assert rows == 40_000


async def test_one_replica_acts_at_a_time(new_apache_database: NewDatabase) -> None:
    async with pool_of(await new_apache_database()) as pool:
        acting = Housekeeping(pool, PERIODS, utc_now)
        async with pool.acquire() as other:
            await other.execute("SELECT pg_advisory_lock(24568923592934736)")

            await acting.tick()

            assert (await edition.detect(pool)).edition is Edition.PLAIN
        await acting.tick()
        assert (await edition.detect(pool)).edition is Edition.APACHE


async def test_step_that_fails_is_named_and_the_others_are_done(new_store: NewDatabase) -> None:
    old = datetime.now(UTC) - 40 * DAY
    async with pool_of(await new_store()) as pool:
        await pool.execute(INSERT, old, timedelta(seconds=1), 10)
        await pool.execute("DROP TABLE metrics.quality")

        with pytest.raises(HousekeepingError, match=r"metrics\.quality"):
            await Housekeeping(pool, PERIODS, utc_now).tick()

        assert await pool.fetchval("SELECT count(*) FROM metrics.performance") == 0
