"""Remote evaluation in the whole service: with its store, its seeds and its API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from flags_svc.app import create_app
from flags_svc.settings import Settings
from tests.flags_svc.ofrep_schema import check_all, check_one
from windsock_kit.environment import SettingsError
from windsock_kit.testing import serving

DEADLINE = 30.0
ALL = "/ofrep/v1/evaluate/flags"
SHOP = "https://shop.example"


@pytest_asyncio.fixture
async def session(
    new_flags_database: Callable[[], Awaitable[str]],
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Give a client of a service that has just been founded."""
    env = {"FLAGS_DATABASE_URL": await new_flags_database(), "FLAGS_CORS_ORIGINS": f"{SHOP}, "}
    async with (
        serving(create_app(Settings.from_env(env))) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with asyncio.timeout(DEADLINE):
            while (await session.get("/readyz")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield session


async def ask(session: aiohttp.ClientSession, path: str = ALL, **given: Any) -> Any:
    context = {"context": {"targetingKey": "ann"}}
    async with session.post(path, json=context, **given) as response:
        answer = await response.json()
        check = check_all if path == ALL else check_one
        check(response.status, answer)
        return answer


async def test_a_change_over_the_api_is_told_and_answered(session: aiohttp.ClientSession) -> None:
    before = await ask(session)
    keys = sorted(flag["key"] for flag in before["flags"])
    assert len(keys) == 9, "the seeds"
    key = keys[0]
    address = before["eventStreams"][0]["endpoint"]["requestUri"]
    async with session.get(address) as stream, asyncio.timeout(DEADLINE):
        await stream.content.readuntil(b"\n\n")
        for action, reason in (("disable", "DISABLED"), ("enable", None)):
            done = await session.post(f"/api/feature-flags/{key}/{action}", json={})
            assert done.status == 200, await done.text()
            assert b"refetchEvaluation" in await stream.content.readuntil(b"\n\n")
            told = await ask(session, f"{ALL}/{key}")
            assert (told["reason"] == "DISABLED") is (reason == "DISABLED")


async def test_a_known_page_elsewhere_may_ask_here_and_nowhere_else(
    session: aiohttp.ClientSession,
) -> None:
    page = {"Origin": SHOP}
    async with session.post(ALL, json={}, headers=page) as response:
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == SHOP
    async with session.get("/api/feature-flags", headers=page) as response:
        assert response.status == 403
    async with session.post(ALL, json={}, headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403


async def test_addresses_are_measured_by_their_route(session: aiohttp.ClientSession) -> None:
    await session.post(f"{ALL}/a/b/c", json={})
    async with session.get("/metrics") as response:
        text = await response.text()
    assert 'route="/ofrep/v1/evaluate/flags/{key:path}"' in text
    assert "a/b/c" not in text


@pytest.mark.parametrize("wrong", ["shop.example", "https://shop.example/page", "*", "https://a b"])
def test_what_is_no_origin_stops_the_start(wrong: str) -> None:
    settings = Settings.from_env(
        {"FLAGS_DATABASE_URL": "postgresql://127.0.0.1/x", "FLAGS_CORS_ORIGINS": wrong}
    )
    with pytest.raises(SettingsError, match="FLAGS_CORS_ORIGINS"):
        create_app(settings)
