"""What goes when its time is over, and what must stay."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry

from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.event import Performance
from metrics_svc.domain.kind import PERFORMANCE
from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import OwnPrices
from metrics_svc.domain.rollup import FOREVER, floor
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask, Engine
from metrics_svc.housekeeping import Housekeeping, Periods
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.store import edition
from metrics_svc.store.edition import Edition
from metrics_svc.store.series import SeriesRegistry
from metrics_svc.writer import Writer
from windsock_kit.clock import utc_now
from windsock_kit.postgres import open_pool

NewDatabase = Callable[[], Awaitable[str]]
DAY = timedelta(days=1)
DAY_SECONDS = 86_400
PERIODS = Periods(
    raw=30 * DAY,
    rollups={10: 3 * DAY, 60: 35 * DAY, 600: 100 * DAY, 3600: 400 * DAY},
    admissions=8 * DAY,
    columnstore_after=8 * DAY,
)
INSERT = """
    INSERT INTO metrics.performance (ts, operation, environment, duration_ms, status)
    SELECT $1::timestamptz + number * interval '1 millisecond', 'search', 'production', 1, 'ok'
    FROM generate_series(1, $2::integer) AS number
"""
ROLLUP = """
    INSERT INTO metrics.rollups (kind, resolution, bucket, part, writer, totals, entries)
    VALUES ('performance', $1, $2, 0, $3, '', '')
"""
WRITER = """
    INSERT INTO metrics.writers (folded_60, folded_600, folded_3600, started_at, retired_at)
    VALUES ($1, $2, $3, now() - $4::interval, now() - $5::interval)
    RETURNING id
"""


def pool_of(url: str) -> Any:
    return open_pool(url, application_name="test", min_size=0, max_size=4)


async def test_events_go_when_their_time_is_over(new_store: NewDatabase) -> None:
    now = utc_now()
    async with pool_of(await new_store()) as pool:
        housekeeping = Housekeeping(pool, PERIODS, lambda: now)
        await housekeeping.tick()
        for days in (1, 29, 32, 60):
            await pool.execute(INSERT, now - days * DAY, 3)

        await housekeeping.tick()

        rows = await pool.fetch(
            "SELECT DISTINCT ts::date AS day FROM metrics.performance ORDER BY 1"
        )
    assert [row["day"] for row in rows] == [(now - 29 * DAY).date(), (now - DAY).date()]


async def test_every_table_of_events_is_expired(new_store: NewDatabase) -> None:
    old = utc_now() - 40 * DAY
    rows = {
        "llm_calls": """
            INSERT INTO metrics.llm_calls (ts, operation, environment, input_tokens, output_tokens,
                cached_input_tokens, cache_write_tokens, reasoning_tokens, cache_hit, status,
                cache_savings_nanos)
            VALUES ($1, 'o', 'e', 1, 1, 0, 0, 0, false, 'ok', 0)
        """,
        "quality": "INSERT INTO metrics.quality (ts, operation, environment) VALUES ($1, 'o', 'e')",
        "cache_events": """
            INSERT INTO metrics.cache_events (ts, operation, environment, layer, hit)
            VALUES ($1, 'o', 'e', 'l1', true)
        """,
        "exposures": """
            INSERT INTO metrics.exposures (ts, environment, flag_key, variant)
            VALUES ($1, 'e', 'f', 'on')
        """,
        "probes": """
            INSERT INTO metrics.probes (ts, environment, target, kind, up)
            VALUES ($1, 'e', 'redis', 'redis', true)
        """,
        "measurements": """
            INSERT INTO metrics.measurements (ts, environment, name, unit, observations, total)
            VALUES ($1, 'e', 'n', '', 1, 1)
        """,
    }
    async with pool_of(await new_store()) as pool:
        housekeeping = Housekeeping(pool, PERIODS, utc_now)
        await housekeeping.tick()
        for statement in rows.values():
            await pool.execute(statement, old)

        await housekeeping.tick()

        left = [await pool.fetchval(f"SELECT count(*) FROM metrics.{table}") for table in rows]
    assert left == [0] * len(rows)


async def test_log_tells_what_was_freed(new_store: NewDatabase) -> None:
    async with pool_of(await new_store()) as pool:
        housekeeping = Housekeeping(pool, PERIODS, utc_now)
        await housekeeping.tick()
        plain = (await edition.detect(pool)).edition is Edition.PLAIN
        await pool.execute(INSERT, utc_now().replace(hour=12) - 40 * DAY, 100)

        with structlog.testing.capture_logs() as logs:
            await housekeeping.tick()

    (told,) = [entry for entry in logs if entry["event"] == "events_expired"]
    assert told["table"] == "metrics.performance"
    assert (told["rows"], told["chunks"]) == ((100, 0) if plain else (0, 1))
    assert plain or told["bytes"] > 0


async def test_deletion_goes_on_batch_by_batch(new_database: NewDatabase) -> None:
    async with pool_of(await new_database()) as pool:
        await pool.execute(INSERT, utc_now() - 40 * DAY, 2 * edition.DELETE_ROWS + 5)

        more = await Housekeeping(pool, PERIODS, utc_now).tick()

        assert not more
        assert await pool.fetchval("SELECT count(*) FROM metrics.performance") == 0


async def test_events_are_taken_in_before_and_after_the_tables_change(
    new_store: NewDatabase,
) -> None:
    now = utc_now()
    async with pool_of(await new_store()) as pool:
        series = SeriesRegistry(pool, new_per_hour=100)
        ingest = make_ingest(pool, series)
        async with ingest.running():
            await ingest.submit_batch(uuid4(), events(now, 5))
            await Housekeeping(pool, PERIODS, utc_now).tick()
            await ingest.submit_batch(uuid4(), events(now - 6 * DAY, 7))

        assert await pool.fetchval("SELECT count(*) FROM metrics.performance") == 12
        assert await counted(pool, series, now) == 12


async def test_rollups_are_kept_by_resolution(new_database: NewDatabase) -> None:
    now = floor(int(time.time()), 3600)
    async with pool_of(await new_database()) as pool:
        writer = await pool.fetchval(WRITER, FOREVER, FOREVER, FOREVER, DAY, DAY)
        for resolution in (10, 60, 600, 3600):
            for days in (2, 34, 99, 399, 401):
                await pool.execute(ROLLUP, resolution, now - days * DAY_SECONDS, writer)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        rows = await pool.fetch("SELECT resolution, bucket FROM metrics.rollups ORDER BY 1, 2 DESC")
    assert [(row["resolution"], (now - row["bucket"]) // DAY_SECONDS) for row in rows] == [
        (10, 2),
        *((60, days) for days in (2, 34)),
        *((600, days) for days in (2, 34, 99)),
        *((3600, days) for days in (2, 34, 99, 399)),
    ]


async def test_rows_that_wait_to_be_folded_are_kept(new_database: NewDatabase) -> None:
    now = floor(int(time.time()), 3600)
    folded = now - 500 * DAY_SECONDS
    async with pool_of(await new_database()) as pool:
        writer = await pool.fetchval(WRITER, folded + 60, folded, folded - 600, DAY, None)
        for resolution in (10, 60, 600):
            for bucket in range(folded - 3600, folded + 3600, 600):
                await pool.execute(ROLLUP, resolution, bucket, writer)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        rows = await pool.fetch("SELECT resolution, min(bucket) FROM metrics.rollups GROUP BY 1")
    assert {row[0]: row[1] - folded for row in rows} == {10: 600, 60: 0, 600: -600}


async def test_many_rollups_go_batch_by_batch(new_database: NewDatabase) -> None:
    many = """
        INSERT INTO metrics.rollups (kind, resolution, bucket, part, writer, totals, entries)
        SELECT 'performance', 10, number * 10, 0, $1, '', '' FROM generate_series(1, 2500) AS number
    """
    async with pool_of(await new_database()) as pool:
        writer = await pool.fetchval(WRITER, FOREVER, FOREVER, FOREVER, DAY, DAY)
        await pool.execute(many, writer)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        assert await pool.fetchval("SELECT count(*) FROM metrics.rollups") == 0


async def test_writer_goes_with_its_last_row(new_database: NewDatabase) -> None:
    now = floor(int(time.time()), 3600)
    ended = (FOREVER, FOREVER, FOREVER)
    async with pool_of(await new_database()) as pool:
        gone = await pool.fetchval(WRITER, *ended, 420 * DAY, 410 * DAY)
        await pool.execute(ROLLUP, 3600, now - 412 * DAY_SECONDS, gone)
        recent = await pool.fetchval(WRITER, *ended, 390 * DAY, 390 * DAY)
        live = await pool.fetchval(WRITER, now, now, now, 900 * DAY, None)

        await Housekeeping(pool, PERIODS, utc_now).tick()

        left = [row["id"] for row in await pool.fetch("SELECT id FROM metrics.writers ORDER BY id")]
    assert left == [recent, live]


async def test_process_goes_on_when_its_late_writer_was_retired(new_database: NewDatabase) -> None:
    now = utc_now()
    late = now - 2 * DAY
    async with pool_of(await new_database()) as pool:
        series = SeriesRegistry(pool, new_per_hour=100)
        ingest = make_ingest(pool, series)
        async with ingest.running():
            await ingest.submit_batch(uuid4(), events(now, 1) + events(late, 2))
            await pool.execute(
                "UPDATE metrics.writers SET started_at = started_at - interval '2 days'"
            )
            await Housekeeping(pool, PERIODS, utc_now).tick()

            await ingest.submit_batch(uuid4(), events(now, 3) + events(late, 4))

        assert await counted(pool, series, now) == 10
        states = "SELECT (retired_at IS NULL), count(*) FROM metrics.writers GROUP BY 1"
        assert {row[0]: row[1] for row in await pool.fetch(states)} == {True: 2, False: 1}


async def test_batches_are_known_while_they_may_come_again(new_database: NewDatabase) -> None:
    insert = "INSERT INTO metrics.batches VALUES (gen_random_uuid(), now() - $1::interval)"
    async with pool_of(await new_database()) as pool:
        for days in (0, 7, 9):
            await pool.execute(insert, days * DAY)
        for table in ("spans (span, received_at)", "otlp_series (series, state, received_at)"):
            state = ", 'null'" if "state" in table else ""
            await pool.execute(
                f"INSERT INTO metrics.{table} VALUES ('\\x01'{state}, now() - interval '9 days')"
            )

        await Housekeeping(pool, PERIODS, utc_now).tick()

        assert await pool.fetchval("SELECT count(*) FROM metrics.batches") == 2
        assert await pool.fetchval("SELECT count(*) FROM metrics.spans") == 0
        assert await pool.fetchval("SELECT count(*) FROM metrics.otlp_series") == 0


def make_ingest(pool: Any, series: SeriesRegistry) -> Ingest:
    book = PriceBook(GenaiCatalogue(), OwnPrices())
    instruments = Instruments(CollectorRegistry())
    writer = Writer(time.time)
    return Ingest(
        pool, series, writer, prices=lambda: book, max_queued=100, instruments=instruments
    )


def events(at: datetime, number: int) -> list[Performance]:
    return [Performance(operation="search", duration_ms=1.0, timestamp=at) for _ in range(number)]


async def counted(pool: Any, series: SeriesRegistry, now: datetime) -> int:
    """Return how many events the answers tell of the last week."""
    end = floor(int(now.timestamp()), 3600) + 3600
    window = Window(end - 8 * DAY_SECONDS, end)
    (found,) = await Engine(pool, series).ask(window, [Ask(PERFORMANCE)])
    return int(found.counter("count").sum())
