"""Prices applied again: afterwards the totals are the sums of the rows, to the nano-dollar."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from itertools import count
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from metrics_svc.app import create_app
from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.kind import LLM_CALL
from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import OwnPrice, OwnPrices
from metrics_svc.domain.repricing import Outcome
from metrics_svc.domain.window import Window, align
from metrics_svc.engine import Ask, Engine
from metrics_svc.housekeeping import Housekeeping, Periods
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.repricing import Repricer
from metrics_svc.settings import Settings
from metrics_svc.store import calls
from metrics_svc.store.calls import Selection
from metrics_svc.store.series import SeriesRegistry
from metrics_svc.writer import Writer
from windsock_kit.clock import utc_now
from windsock_kit.postgres import open_pool
from windsock_kit.testing import running

NewDatabase = Callable[[], Awaitable[str]]
Sums = dict[tuple[str | None, ...], tuple[int, ...]]
PATH = "/api/metrics/prices"
MODELS = ("text-embedding-004", "gemini-2.0-flash", "gpt-4o", "made-up", None)
FLAGS: tuple[dict[str, str], ...] = ({}, {}, {"prompt": "b"}, {"prompt": "a", "cache": "on"})
BY = ("operation", "provider", "model", "error_type")
COUNTERS = ("count", "cost_nanos", "unpriced", "cache_savings_nanos")
RAW = """
    SELECT operation, provider, model, CASE WHEN status <> 'ok' THEN 'unknown' END AS error_type, count(*) AS count,
        coalesce(sum(cost_nanos), 0)::bigint AS cost_nanos,
        count(*) FILTER (WHERE cost_nanos IS NULL) AS unpriced,
        sum(cache_savings_nanos)::bigint AS cache_savings_nanos
    FROM metrics.llm_calls
    GROUP BY operation, provider, model, status
"""
RAW_BY_FLAG = """
    SELECT flag_key, variant, count(*) AS count,
        coalesce(sum(cost_nanos), 0)::bigint AS cost_nanos,
        count(*) FILTER (WHERE cost_nanos IS NULL) AS unpriced,
        sum(cache_savings_nanos)::bigint AS cache_savings_nanos
    FROM metrics.llm_calls, LATERAL jsonb_each_text(flags) AS flag (flag_key, variant)
    GROUP BY flag_key, variant
"""


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest_asyncio.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with running(create_app(Settings(database_url=url))) as found:
        yield found


def events(seed: int, size: int, *, back: timedelta) -> list[dict[str, Any]]:
    """Make calls of all sorts that lie up to ``back`` in the past; some at one moment, some alike."""
    draw = random.Random(seed)
    now = datetime.now(UTC)
    return [
        {
            "type": "llm_call",
            "operation": draw.choice(["search", "answer"]),
            "provider": draw.choice(["google", "openai", None]),
            "model": draw.choice(MODELS),
            "input_tokens": draw.choice([1_000, 1_001, 7_777_777]),
            "cached_input_tokens": draw.choice([0, 500]),
            "output_tokens": draw.randrange(3),
            "status": "error" if draw.random() < 0.1 else "ok",
            "flags": draw.choice(FLAGS),
            "timestamp": (now - back * draw.choice([0, 0.5, draw.random()])).isoformat(),
            **({"cost_usd": 0.123456789} if draw.random() < 0.1 else {}),
        }
        for _ in range(size)
    ]


async def send(client: httpx.AsyncClient, found: list[dict[str, Any]]) -> None:
    batch = {"batch_id": str(uuid.uuid4()), "events": found}
    answer = await client.post("/api/metrics/events", json=batch)
    assert answer.json()["accepted"] == len(found), answer.text


async def set_prices(client: httpx.AsyncClient, **usd: float | str) -> None:
    prices = [
        {
            "model": model.replace("_", "-"),
            "input_usd_per_mtok": amount,
            "output_usd_per_mtok": "0.0007",
            "cached_input_usd_per_mtok": "0.0000001",
        }
        for model, amount in usd.items()
    ]
    answer = await client.put(PATH, json={"prices": prices})
    assert answer.status_code == HTTPStatus.OK, answer.text


async def reprice(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    body = {
        "from": (now - timedelta(days=8)).isoformat(),
        "to": (now + timedelta(minutes=1)).isoformat(),
    }
    answer = await client.post(f"{PATH}/reprice", json=body | more)
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sums(rows: list[asyncpg.Record], by: tuple[str, ...]) -> Sums:
    return {tuple(row[name] for name in by): tuple(row[c] for c in COUNTERS) for row in rows}


async def assert_totals_are_the_rows(url: str) -> None:
    """Compare the rollups of every resolution with the raw rows, by every dimension and by flag."""
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        raw = sums(await pool.fetch(RAW), BY)
        raw_by_flag = sums(await pool.fetch(RAW_BY_FLAG), ("flag_key", "variant"))
        engine = Engine(pool, SeriesRegistry(pool, new_per_hour=1))
        now = datetime.now(UTC).timestamp()
        kept = {10: 8 * 86_400, 60: 8 * 86_400, 600: 8 * 86_400, 3600: 8 * 86_400}
        whole = align(now - 7.5 * 86_400, now + 60, now=now, kept=kept)
        hours = Window(whole.start - whole.start % 3600, whole.end - whole.end % 3600 + 3600)
        for window in (whole, hours):
            plain, flagged = await engine.ask(
                window, [Ask(LLM_CALL, BY), Ask(LLM_CALL, ("flag_key", "variant"))]
            )
            for summary, wanted in ((plain, raw), (flagged, raw_by_flag)):
                columns = [summary.counter(name).tolist() for name in COUNTERS]
                found = dict(zip(summary.groups, zip(*columns, strict=True), strict=True))
                assert {group: total for group, total in found.items() if any(total)} == wanted


async def test_unpriced_calls_get_their_price_and_totals_follow(
    client: httpx.AsyncClient, url: str
) -> None:
    await send(client, events(1, 1_500, back=timedelta(days=6.9)))
    await set_prices(client, text_embedding_004="0.025", gpt_4o=3)

    planned = await reprice(client, dry_run=True)
    await assert_totals_are_the_rows(url)
    done = await reprice(client)

    await assert_totals_are_the_rows(url)
    assert planned | {"dry_run": False, "from": 0, "to": 0} == done | {"from": 0, "to": 0}
    assert done["complete"]
    assert 0 < done["changed"] < done["examined"] < 1_500
    assert done["cost_after_usd"] != done["cost_before_usd"]
    unpriced = {(m["provider"], m["model"]) for m in done["unpriced_models"]}
    assert ("google", "made-up") in unpriced
    assert not any(model == "text-embedding-004" for _, model in unpriced)


async def test_totals_follow_on_every_edition(new_store: NewDatabase) -> None:
    url = await new_store()
    days = timedelta(days=8)
    periods = Periods(raw=days, rollups={3600: days}, admissions=days, columnstore_after=days)
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        await Housekeeping(pool, periods, utc_now).tick()
    async with running(create_app(Settings(database_url=url))) as client:
        await send(client, events(7, 600, back=timedelta(days=6.9)))
        await set_prices(client, text_embedding_004="0.025", gpt_4o=3)

        done = await reprice(client)

        await assert_totals_are_the_rows(url)
        assert done["changed"] > 0
        assert (await reprice(client))["changed"] == 0


async def test_second_time_changes_nothing(client: httpx.AsyncClient, url: str) -> None:
    await send(client, events(2, 500, back=timedelta(hours=2)))
    await set_prices(client, made_up=1)

    first = await reprice(client)
    second = await reprice(client)

    await assert_totals_are_the_rows(url)
    assert first["changed"] > 0
    assert second["changed"] == 0
    assert second["cost_before_usd"] == second["cost_after_usd"] == first["cost_after_usd"]


async def test_calls_can_lose_their_price_again(client: httpx.AsyncClient, url: str) -> None:
    await set_prices(client, made_up=1, text_embedding_004=1)
    await send(client, events(3, 500, back=timedelta(minutes=2)))
    await set_prices(client)

    done = await reprice(client)

    await assert_totals_are_the_rows(url)
    assert done["still_unpriced"] > 0
    assert done["cost_after_usd"] < done["cost_before_usd"]


async def test_only_calls_of_the_range_provider_and_model_change(
    client: httpx.AsyncClient, url: str
) -> None:
    now = datetime.now(UTC)
    call = {"type": "llm_call", "operation": "search", "model": "made-up", "input_tokens": 1_000}
    times = [now - timedelta(seconds=seconds) for seconds in (40, 30, 20)]
    for provider in ("google", "openai"):
        await send(
            client, [call | {"provider": provider, "timestamp": at.isoformat()} for at in times]
        )
    await set_prices(client, made_up=1)

    chosen = {"from": times[1].isoformat(), "to": times[2].isoformat()}
    done = await reprice(client, provider="google", model="made-up", **chosen)

    await assert_totals_are_the_rows(url)
    assert (done["examined"], done["changed"], done["cost_after_usd"]) == (1, 1, 0.001)


async def test_stated_costs_stay(client: httpx.AsyncClient, url: str) -> None:
    call = {"type": "llm_call", "operation": "search", "model": "made-up", "input_tokens": 1_000}
    await send(client, [call | {"cost_usd": 0.5}])
    await set_prices(client, made_up=1)

    done = await reprice(client)

    await assert_totals_are_the_rows(url)
    assert done["examined"] == 0


async def test_totals_hold_while_batches_and_new_prices_come_in(
    client: httpx.AsyncClient, url: str
) -> None:
    async def ingest(seed: int) -> None:
        for number in range(6):
            back = timedelta(days=1) if number % 2 else timedelta(seconds=30)
            await send(client, events(100 * seed + number, 150, back=back))

    async def prices() -> None:
        for number in range(1, 5):
            await set_prices(client, made_up=number, text_embedding_004=str(number / 7)[:6])
            await reprice(client)

    await send(client, events(4, 1_000, back=timedelta(days=2)))
    await asyncio.gather(ingest(1), ingest(2), prices())
    await reprice(client)

    await assert_totals_are_the_rows(url)
    assert (await reprice(client))["changed"] == 0


async def test_two_replicas_do_not_do_it_at_once_and_not_twice(
    client: httpx.AsyncClient, url: str
) -> None:
    await send(client, events(5, 3_000, back=timedelta(hours=3)))
    async with running(create_app(Settings(database_url=url))) as other:
        await set_prices(client, made_up=2)
        body = {
            "from": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
            "to": datetime.now(UTC).isoformat(),
        }

        answers = await asyncio.gather(
            *(replica.post(f"{PATH}/reprice", json=body) for replica in (client, other))
        )

    await assert_totals_are_the_rows(url)
    assert {answer.status_code for answer in answers} <= {HTTPStatus.OK, HTTPStatus.CONFLICT}
    done = [answer.json() for answer in answers if answer.status_code == HTTPStatus.OK]
    assert sum(answer["changed"] for answer in done) > 0


async def test_rows_that_another_transaction_is_charging_are_left_to_it(
    client: httpx.AsyncClient, url: str
) -> None:
    await send(client, events(6, 200, back=timedelta(minutes=1)))
    own = OwnPrice(None, "made-up", datetime(2025, 1, 1, tzinfo=UTC), Decimal(2), Decimal(1))
    book = PriceBook(GenaiCatalogue(), OwnPrices().with_prices([own]))
    now = datetime.now(UTC)
    selection = Selection(now - timedelta(hours=1), now + timedelta(hours=1))

    async with open_pool(url, application_name="test", min_size=0, max_size=3) as pool:
        async with calls.repricing(pool) as reader:
            assert reader is not None
            found = [call async for part in calls.slices(reader, selection, 50) for call in part]
        change = Outcome().examine(found, book)
        assert change is not None
        async with pool.acquire() as second:
            async with pool.acquire() as first, first.transaction():
                mine = await calls.recharge(first, change)
                waiting = asyncio.create_task(calls.recharge(second, change))
                await asyncio.wait([waiting], timeout=0.05)
            theirs = await waiting

    assert len(mine) >= len(change)
    assert theirs == []


async def test_calls_without_a_series_of_their_own_are_corrected_where_they_count(
    new_database: NewDatabase,
) -> None:
    url = await new_database()
    call = {"type": "llm_call", "model": "made-up", "input_tokens": 1_000}
    async with running(create_app(Settings(database_url=url, new_series_per_hour=1))) as client:
        await send(client, [call | {"operation": name} for name in ("a", "b", "b")])
    # Another process, whose hour is fresh.
    async with running(create_app(Settings(database_url=url))) as client:
        await set_prices(client, made_up=1)
        await reprice(client)

        operations = (await client.get("/api/metrics/costs")).json()["operations"]

    told = {o["operation"]: (o["calls"], o["unpriced_calls"], o["cost_usd"]) for o in operations}
    assert told == {"a": (1, 0, 0.001), "__other__": (2, 0, 0.002)}


async def test_what_takes_too_long_is_gone_on_with_from_where_it_stopped(
    client: httpx.AsyncClient, url: str
) -> None:
    await send(client, events(8, 400, back=timedelta(hours=5)))
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=6), now + timedelta(minutes=1)
    own = OwnPrice(None, "made-up", datetime(2025, 1, 1, tzinfo=UTC), Decimal(2), Decimal(1))
    book = PriceBook(GenaiCatalogue(), OwnPrices().with_prices([own]))
    examined, starts = 0, [start]
    async with open_pool(url, application_name="test", min_size=0, max_size=3) as pool:
        series = SeriesRegistry(pool, new_per_hour=100)
        writer = Writer(time.time)
        ingest = Ingest(
            pool,
            series,
            writer,
            prices=lambda: book,
            max_queued=1_000,
            instruments=Instruments(CollectorRegistry()),
        )
        # A clock on which every look is past the deadline of the one before.
        hours = count(step=3_600)
        repricer = Repricer(pool, ingest, series, monotonic=lambda: float(next(hours)))
        async with ingest.running():
            while starts[-1] < end:
                report = await repricer.run(Selection(starts[-1], end), book, dry_run=False)
                examined += report.outcome.examined
                starts.append(report.done_until)

    await assert_totals_are_the_rows(url)
    assert len(starts) > 3
    assert starts == sorted(set(starts))
    assert examined == (await reprice(client))["examined"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"from": "2025-01-02T00:00:00Z", "to": "2025-01-02T00:00:00Z"}, "from"),
        ({"from": "2025-01-01T00:00:00Z", "to": "2025-03-01T00:00:00Z"}, "from"),
        ({"from": "2025-01-01T00:00:00"}, "from"),
        ({"from": "9999-12-31T00:00:00Z"}, "from"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"model": ""}, "model"),
        ({"provider": "a\0"}, "provider"),
        ({"models": "x"}, "models"),
    ],
    ids=repr,
)
async def test_wrong_request_is_refused_with_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    body = {"from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z"} | change

    answer = await client.post(f"{PATH}/reprice", json=body)

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["path"] == path
