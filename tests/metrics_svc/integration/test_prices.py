"""Own prices over HTTP, on a real store."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from metrics_svc.app import create_app
from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.price_list import MAX_PRICES, OwnPrice
from metrics_svc.price_keeper import PriceKeeper
from metrics_svc.settings import Settings
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import open_pool
from windsock_kit.testing import running

NewDatabase = Callable[[], Awaitable[str]]
PATH = "/api/metrics/prices"
EMBEDDING: dict[str, Any] = {
    "provider": "google",
    "model": "text-embedding-004",
    "input_usd_per_mtok": 0.025,
    "output_usd_per_mtok": 0,
}
CALL: dict[str, Any] = {
    "type": "llm_call",
    "operation": "search",
    "provider": "google",
    "model": "text-embedding-004",
    "input_tokens": 1_000,
}


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest_asyncio.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with running(create_app(Settings(database_url=url))) as found:
        yield found


async def put(client: httpx.AsyncClient, *prices: dict[str, Any], **headers: str) -> httpx.Response:
    return await client.put(PATH, json={"prices": prices}, headers=headers)


async def send(client: httpx.AsyncClient, *events: dict[str, Any]) -> httpx.Response:
    batch = {"batch_id": str(uuid.uuid4()), "events": events}
    return await client.post("/api/metrics/events", json=batch)


async def charged(url: str) -> list[tuple[int | None, str | None]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT cost_nanos, price_version FROM metrics.llm_calls")
    await connection.close()
    return [(row["cost_nanos"], row["price_version"]) for row in rows]


async def test_model_without_a_price_is_unpriced_until_it_is_given_one(
    client: httpx.AsyncClient, url: str
) -> None:
    await send(client, CALL)
    before = await charged(url)

    answer = await put(client, EMBEDDING)
    await send(client, CALL)

    assert answer.status_code == HTTPStatus.OK
    assert before == [(None, None)]
    assert sorted(await charged(url), key=repr) == [(25_000, "own/1"), (None, None)]


async def test_own_price_wins_over_the_catalogue_and_stated_cost_over_both(
    client: httpx.AsyncClient, url: str
) -> None:
    call = CALL | {"model": "gemini-2.0-flash"}
    await send(client, call)
    await put(client, EMBEDDING | {"model": "gemini-2.0-flash", "input_usd_per_mtok": 9})
    await send(client, call, call | {"cost_usd": 1.5})

    found = await charged(url)

    assert [cost for cost, _ in found] == [100_000, 9_000_000, 1_500_000_000]
    assert [(version or "").partition("/")[0] for _, version in found] == [
        "genai-prices",
        "own",
        "event",
    ]


async def test_list_is_told_as_it_was_given_to_the_last_digit(client: httpx.AsyncClient) -> None:
    tier = {"above_input_tokens": 200_000, "input_usd_per_mtok": "2.5", "output_usd_per_mtok": 1}
    price = EMBEDDING | {
        "input_usd_per_mtok": "0.000000000000000001",
        "effective_from": "2025-01-01T01:00:00+01:00",
        "effective_until": "2026-01-01T00:00:00Z",
        "tiers": [tier],
    }

    await client.put(PATH, json={"prices": [price], "set_by": "finance"})
    answer = await client.get(PATH)
    found = json.loads(answer.content, parse_float=Decimal)

    assert answer.headers["ETag"] == f'"{found["price_version"]}"'
    assert (found["version"], found["set_by"]) == (1, "finance")
    assert found["catalogue"]["name"] == "genai-prices"
    assert found["prices"] == [
        {
            "provider": "google",
            "model": "text-embedding-004",
            "effective_from": "2025-01-01T00:00:00Z",
            "effective_until": "2026-01-01T00:00:00Z",
            "input_usd_per_mtok": Decimal("0.000000000000000001"),
            "output_usd_per_mtok": 0,
            "cached_input_usd_per_mtok": None,
            "cache_write_usd_per_mtok": None,
            "reasoning_usd_per_mtok": None,
            "tiers": [
                {
                    "above_input_tokens": 200_000,
                    "input_usd_per_mtok": Decimal("2.5"),
                    "output_usd_per_mtok": 1,
                    "cached_input_usd_per_mtok": None,
                    "cache_write_usd_per_mtok": None,
                    "reasoning_usd_per_mtok": None,
                }
            ],
        }
    ]


async def test_longest_list_is_taken_and_a_longer_body_is_not(client: httpx.AsyncClient) -> None:
    whole = [EMBEDDING | {"model": f"model-number-{n}"} for n in range(MAX_PRICES)]

    taken = await put(client, *whole)
    refused = await client.put(PATH, content=b"[" + b" " * 4 * 2**20)

    assert len(taken.json()["prices"]) == MAX_PRICES
    assert refused.status_code == 413
    assert refused.json()["max_bytes"] == 4 * 2**20


async def test_same_list_again_is_the_same_version_and_others_make_history(
    client: httpx.AsyncClient,
) -> None:
    other = EMBEDDING | {"model": "other"}
    for prices in ([EMBEDDING, other], [other, EMBEDDING | {"input_usd_per_mtok": "0.0250"}], []):
        await put(client, *prices)

    listed = (await client.get(f"{PATH}/versions")).json()["versions"]
    first = (await client.get(f"{PATH}/versions/1")).json()
    page = (await client.get(f"{PATH}/versions?before=2&limit=1")).json()["versions"]
    restored = await put(client, *first["prices"])

    assert [(v["version"], v["prices"]) for v in listed] == [(2, 0), (1, 2)]
    assert [price["model"] for price in first["prices"]] == ["other", "text-embedding-004"]
    assert [v["version"] for v in page] == [1]
    assert (restored.json()["version"], restored.json()["prices"]) == (3, first["prices"])
    assert (await client.get(f"{PATH}/versions/4")).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("weak", ["", "W/"], ids=["strong", "weak"])
async def test_change_on_top_of_what_somebody_else_changed_is_refused(
    client: httpx.AsyncClient, weak: str
) -> None:
    read = weak + (await client.get(PATH)).headers["ETag"]
    mine = await put(client, EMBEDDING, **{"If-Match": read})

    theirs = await put(client, **{"If-Match": read})

    assert mine.status_code == HTTPStatus.OK
    assert theirs.status_code == HTTPStatus.PRECONDITION_FAILED
    assert theirs.json()["code"] == "precondition_failed"
    assert theirs.json()["current"] == mine.headers["ETag"]
    assert (await client.get(PATH)).json()["version"] == 1


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"input_usd_per_mtok": -1}, "prices[0].input_usd_per_mtok"),
        ({"input_usd_per_mtok": 10_001}, "prices[0].input_usd_per_mtok"),
        ({"input_usd_per_mtok": "NaN"}, "prices[0].input_usd_per_mtok"),
        ({"input_usd_per_mtok": "1e-19"}, "prices[0].input_usd_per_mtok"),
        ({"input_usd_per_mtok": True}, "prices[0].input_usd_per_mtok"),
        ({"input": 1}, "prices[0].input"),
        ({"model": ""}, "prices[0].model"),
        ({"model": "a\0b"}, "prices[0].model"),
        ({"effective_from": "2025-01-01T00:00:00"}, "prices[0].effective_from"),
        ({"effective_from": "0001-01-01T00:00:00+14:00"}, "prices[0].effective_from"),
        ({"effective_until": "1969-12-31T00:00:00Z"}, "prices[0].effective_until"),
        (
            {
                "tiers": [
                    {"above_input_tokens": 0, "input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
                ]
            },
            "prices[0].tiers[0].above_input_tokens",
        ),
        ({"tiers": [{"above_input_tokens": 5}]}, "prices[0].tiers[0].input_usd_per_mtok"),
        ({"tiers": [{"above": 5}]}, "prices[0].tiers[0].above"),
    ],
    ids=repr,
)
async def test_wrong_price_is_refused_with_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    answer = await put(client, EMBEDDING | change)

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["path"] == path
    assert (await client.get(PATH)).json()["version"] == 0


async def test_unknown_field_is_answered_with_the_known_ones(client: httpx.AsyncClient) -> None:
    answer = await client.put(PATH, json={"prices": [], "by": "me"})

    assert answer.json()["allowed"] == ["prices", "set_by"]


async def test_price_of_a_model_is_told_with_its_source_and_validity(
    client: httpx.AsyncClient,
) -> None:
    await put(client, EMBEDDING | {"effective_from": "2025-06-01T00:00:00Z"})
    query = {"model": "text-embedding-004", "provider": "google"}

    own = await client.get(PATH, params=query | {"at": "2025-07-01T00:00:00+02:00"})
    before = await client.get(PATH, params=query | {"at": "2025-05-01T00:00:00Z"})
    other = await client.get(PATH, params={"model": "gpt-4o", "provider": "openai"})

    assert own.json()["resolved"] == {
        "provider": "google",
        "model": "text-embedding-004",
        "at": "2025-06-30T22:00:00Z",
        "priced": True,
        "source": "own",
        "price_version": "own/1",
        "valid_from": "2025-06-01T00:00:00Z",
        "valid_until": None,
        "input_usd_per_mtok": 0.025,
        "output_usd_per_mtok": 0,
        "cached_input_usd_per_mtok": 0.025,
        "cache_write_usd_per_mtok": 0.025,
        "reasoning_usd_per_mtok": 0,
        "usd_per_request": 0,
        "tiers": [],
    }
    assert before.json()["resolved"]["priced"] is False
    assert (other.json()["resolved"]["source"], other.json()["prices"]) == ("catalogue", [])


async def test_plus_sign_that_was_not_escaped_is_understood(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PATH}?model=gpt-4o&at=2025-07-01T00:00:00+00:00")

    assert answer.json()["resolved"]["at"] == "2025-07-01T00:00:00Z"


@pytest.mark.parametrize(
    ("query", "path", "allowed"),
    [
        ("?models=x", "models", ["model", "provider", "at"]),
        ("?provider=openai", "model", ["model", "provider", "at"]),
        ("?model=a&model=b", "model", None),
        ("?model=a&at=yesterday", "at", None),
        ("?model=", "model", None),
        ("/versions?limit=0", "limit", ["1 to 200"]),
        ("/versions?before=x", "before", ["1 to 2147483647"]),
        ("/versions?page=2", "page", ["before", "limit"]),
    ],
)
async def test_wrong_query_is_refused_with_what_is_allowed(
    client: httpx.AsyncClient, query: str, path: str, allowed: list[str] | None
) -> None:
    answer = await client.get(PATH + query)

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["path"] == path
    assert answer.json().get("allowed") == allowed


async def test_replicas_agree_and_changes_at_once_follow_one_another(url: str) -> None:
    price = OwnPrice(None, "made-up", datetime(2025, 1, 1, tzinfo=UTC), Decimal(1), Decimal(1))
    async with (
        open_pool(url, application_name="one", min_size=0, max_size=2) as pool,
        open_pool(url, application_name="two", min_size=0, max_size=2) as other_pool,
    ):
        one, two = (PriceKeeper(p, GenaiCatalogue()) for p in (pool, other_pool))
        await two.tick()
        await one.change(lambda held, _: held.own.with_prices([price]), set_by=None)
        behind = two.book().version

        await two.change(lambda held, _: held.own.with_prices([]), set_by=None)
        await one.tick()

    assert behind.startswith("own/0+")
    assert one.book().version == two.book().version
    assert one.book().version.startswith("own/2+")


async def test_calls_are_refused_for_now_while_the_own_prices_are_unknown() -> None:
    nowhere = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing")

    async with running(create_app(nowhere)) as client:
        sent = await send(client, CALL)
        told = await client.get(PATH)

    assert sent.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Retry-After" in sent.headers
    assert told.status_code == HTTPStatus.SERVICE_UNAVAILABLE


async def test_prices_stay_in_force_while_the_store_cannot_be_reached(url: str) -> None:
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        keeper = PriceKeeper(pool, GenaiCatalogue())
        with pytest.raises(UnavailableError):
            keeper.book()
        await keeper.tick()
        known = keeper.book()
    # The pool is closed now.

    await keeper.tick()

    assert keeper.book() is known
    with pytest.raises(UnavailableError):
        await keeper.current()
