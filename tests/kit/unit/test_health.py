import asyncio

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from windsock_kit.errors import UnavailableError
from windsock_kit.health import Handler, livez, readyz
from windsock_kit.loops import PeriodicLoop
from windsock_kit.testing import FakeClock, running


async def passes() -> None:
    return None


async def answer_of(handler: Handler) -> httpx.Response:
    async with running(Starlette(routes=[Route("/check", handler)])) as client:
        return await client.get("/check")


async def test_live_process_says_so() -> None:
    response = await answer_of(livez)

    assert (response.status_code, response.json()) == (200, {"status": "live"})


async def test_ready_when_every_check_passes() -> None:
    response = await answer_of(readyz({"store": passes, "prices": lambda: None}))

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"store": "ok", "prices": "ok"}}


async def test_failed_check_is_named_and_its_message_kept_inside() -> None:
    async def refuse() -> None:
        raise ConnectionRefusedError("10.1.2.3:5432")

    response = await answer_of(readyz({"store": refuse, "cache": passes}))

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["detail"] == "not ready: store"
    assert response.json()["checks"] == {"store": "ConnectionRefusedError", "cache": "ok"}
    assert "10.1.2.3" not in response.text


async def test_expected_failure_tells_its_detail() -> None:
    async def away() -> None:
        raise UnavailableError("the database is unavailable")

    response = await answer_of(readyz({"store": away}))

    assert response.json()["checks"] == {"store": "the database is unavailable"}


async def test_plain_function_may_fail_too() -> None:
    def refuse() -> None:
        raise LookupError

    assert (await answer_of(readyz({"prices": refuse}))).status_code == 503


async def test_check_that_hangs_is_given_up() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    response = await answer_of(readyz({"store": hang, "cache": passes}, timeout=0.01))

    assert response.json()["checks"] == {"store": "no answer within 0.01 s", "cache": "ok"}


async def test_stale_loop_makes_the_service_unready() -> None:
    clock = FakeClock()
    loop = PeriodicLoop("flush", passes, interval=2, clock=clock.monotonic)
    handler = readyz({}, loops=[loop])

    before = await answer_of(handler)
    clock.advance(65)
    after = await answer_of(handler)

    assert before.json()["checks"] == {"loop:flush": "ok"}
    assert after.status_code == 503
    assert after.json()["checks"] == {"loop:flush": "no success for 65.0 s"}
