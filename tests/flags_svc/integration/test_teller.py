"""alerts-svc hears of every change once and in order, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts_svc.app import create_app
from alerts_svc.settings import Settings
from flags_svc.clients.alerts import AwayError, RefusedError, open_alerts
from flags_svc.domain.telling import Telling
from flags_svc.domain.world import Author, Edit
from flags_svc.store.history import History
from flags_svc.store.told import Told
from flags_svc.teller import FOUNDER, Alerts, Teller
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.replicas import ANN, Process, a_deletion, a_flag, put, started, wish
from windsock_kit.testing import serving

DYING = """
import asyncio, os, sys
from flags_svc.clients.alerts import open_alerts
from flags_svc.store.history import History
from flags_svc.store.told import Told, Turn
from flags_svc.teller import Teller
from tests.flags_svc.replicas import started
from windsock_kit.postgres import open_pool


async def die(turn, revision):
    os._exit(9)


async def main():
    Turn.move = die
    async with (
        open_pool(sys.argv[1], application_name="dying", min_size=0, max_size=2) as pool,
        open_alerts(sys.argv[2]) as alerts,
    ):
        process = await started(pool)
        await Teller(process.configuration, History(pool), Told(pool), alerts).tick()


asyncio.run(main())
"""


class Taken:
    """Takes what it is told; ``faults`` are raised first."""

    def __init__(self, *faults: Exception) -> None:
        self.told: list[Telling] = []
        self._faults = list(faults)

    async def tell(self, telling: Telling) -> None:
        """Take note."""
        if self._faults:
            raise self._faults.pop(0)
        self.told.append(telling)

    @property
    def revisions(self) -> list[int]:
        """Which changes were told, in which order."""
        return [int(each.id.rpartition("-")[2]) for each in self.told]


@pytest_asyncio.fixture(scope="module")
async def alerts_url(running_postgres: RunningPostgres) -> AsyncGenerator[str]:
    """Give the address of a real alerts-svc; of metrics it hears nothing."""
    database = await running_postgres.new_alerts_database("flags_told")
    settings = Settings(database_url=database, metrics_url="http://127.0.0.1:9")
    async with serving(create_app(settings)) as address:
        yield address


def teller(process: Process, pool: Any, alerts: Alerts) -> Teller:
    return Teller(process.configuration, History(pool), Told(pool), alerts)


async def known(url: str, name: str) -> Sequence[Any]:
    """Return what alerts-svc tells of the changes of a name."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/api/alerts/changes", params={"limit": 1000})
    return [each for each in answer.json()["changes"] if each["name"] == name]


async def test_alerts_svc_tells_of_a_change(pool: Any, alerts_url: str) -> None:
    process = await started(pool)
    await process.editor.edit(put(a_flag("told", owner="a")), ANN)
    await process.editor.edit(put(a_flag("told", owner="b")), ANN)

    async with open_alerts(alerts_url) as alerts:
        await teller(process, pool, alerts).tick()

    newest, oldest = await known(alerts_url, "told")
    assert (newest["kind"], newest["author"]) == ("flag", "ann")
    assert newest["description"] == 'create: owner "a" → "b" (because)'
    assert newest["id"] == f"{process.live.world.epoch}-2"
    assert oldest["description"] == "create (because)"


async def test_a_change_whose_teller_dies_before_it_says_so_is_still_one(
    pool: Any, flags_url: str, alerts_url: str
) -> None:
    process = await started(pool)
    await process.editor.edit(put(a_flag("once")), ANN)

    for _ in range(2):
        dying = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DYING, flags_url, alerts_url
        )
        assert await asyncio.wait_for(dying.wait(), 30) == 9
    assert len(await known(alerts_url, "once")) == 1

    async with open_alerts(alerts_url) as alerts:
        await teller(process, pool, alerts).tick()
    assert len(await known(alerts_url, "once")) == 1
    assert await pool.fetchval("SELECT revision FROM flags.told") == 1


async def test_changes_are_told_in_order_and_each_once(pool: Any) -> None:
    process, taken = await started(pool), Taken()
    telling = teller(process, pool, taken)
    for number in range(3):
        await process.editor.edit(put(a_flag(f"f{number}")), ANN)
    await telling.tick()
    await process.editor.edit(wish(a_deletion("f1")), ANN)

    await telling.tick()
    await telling.tick()

    assert taken.revisions == [1, 2, 3, 4]
    assert taken.told[-1].description == "delete (because)"


async def test_what_is_not_taken_is_told_later_and_nothing_before_it(pool: Any) -> None:
    process, taken = await started(pool), Taken(AwayError("503"), AwayError("503"))
    telling = teller(process, pool, taken)
    await process.editor.edit(put(a_flag("f")), ANN)
    await process.editor.edit(put(a_flag("g")), ANN)

    await telling.tick()
    await telling.tick()
    assert taken.revisions == []
    await telling.tick()

    assert taken.revisions == [1, 2]


async def test_what_will_never_be_taken_holds_nothing_up(pool: Any) -> None:
    process, taken = await started(pool), Taken(RefusedError("422"))
    await process.editor.edit(put(a_flag("f")), ANN)
    await process.editor.edit(put(a_flag("g")), ANN)

    await teller(process, pool, taken).tick()

    assert taken.revisions == [2]


async def test_the_first_flags_are_no_change(pool: Any) -> None:
    process, taken = await started(pool), Taken()
    await process.editor.edit(put(a_flag("f")), Author(FOUNDER))
    await process.editor.edit(put(a_flag("f", owner="a")), ANN)

    await teller(process, pool, taken).tick()

    assert taken.revisions == [2]


async def test_an_import_is_told_in_one_go(pool: Any) -> None:
    process, taken = await started(pool), Taken(AwayError("503"))
    await process.editor.edit(put(a_flag("f")), ANN)
    many = [Edit("flag", f"f{n}", a_flag(f"f{n}"), "import") for n in range(200)]
    await process.editor.edit(wish(*many), ANN)

    await teller(process, pool, taken).tick()
    await teller(process, pool, taken).tick()

    assert taken.revisions == [1, 201]
    assert taken.told[1].name == "200 changes"
    assert taken.told[1].description == "import: f0, f1, f2, f3, f4 and 195 more (because)"
    assert await pool.fetchval("SELECT revision FROM flags.told") == 201


async def test_one_process_tells_at_a_time(pool: Any) -> None:
    process, taken = await started(pool), Taken()
    await process.editor.edit(put(a_flag("f")), ANN)

    async with Told(pool).turn() as first:
        assert first is not None
        async with Told(pool).turn() as second:
            assert second is None
        await teller(process, pool, taken).tick()
    assert taken.revisions == []

    await asyncio.gather(*(teller(process, pool, taken).tick() for _ in range(8)))
    assert taken.revisions == [1]


async def test_a_turn_ends_with_a_failure(pool: Any) -> None:
    with pytest.raises(RuntimeError):
        async with Told(pool).turn():
            raise RuntimeError("broken")

    async with Told(pool).turn() as turn:
        assert turn is not None


async def test_how_far_it_is_never_goes_back(pool: Any) -> None:
    async with Told(pool).turn() as turn:
        assert turn is not None
        await turn.move(5)
        await turn.move(3)

        assert await turn.revision() == 5


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, AwayError), (503, AwayError), (404, AwayError), (429, AwayError), (422, RefusedError)],
)
async def test_answers_of_alerts_svc_are_told_apart(status: int, error: type[Exception]) -> None:
    async def answer(request: Request) -> Response:
        return Response("no", status)

    app = Starlette(routes=[Route("/api/alerts/changes", answer, methods=["POST"])])
    async with serving(app) as url, open_alerts(url) as alerts:
        with pytest.raises(error):
            await alerts.tell(Telling("e-1", "flag", "f", "", "ann", 5.0))


async def test_an_alerts_svc_that_is_not_there_or_says_nothing_is_away() -> None:
    answers = asyncio.Event()

    async def wait(request: Request) -> Response:
        await answers.wait()
        return Response()

    app = Starlette(routes=[Route("/api/alerts/changes", wait, methods=["POST"])])
    async with serving(app) as url, open_alerts(url, timeout_seconds=0.1) as alerts:
        with pytest.raises(AwayError):
            await alerts.tell(Telling("e-1", "flag", "f", "", "ann", 5.0))
        answers.set()
    async with open_alerts(url) as alerts:
        with pytest.raises(AwayError):
            await alerts.tell(Telling("e-1", "flag", "f", "", "ann", 5.0))
