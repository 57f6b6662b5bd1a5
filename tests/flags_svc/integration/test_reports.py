"""What processes report, as the service counts and shows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from flags_svc.domain.flag import Environment
from flags_svc.domain.world import Edit
from flags_svc.instruments import Instruments
from flags_svc.live import reception as receptions
from flags_svc.live import standing
from flags_svc.live.reception import Reception
from flags_svc.routes import reports
from flags_svc.store.applied import Applied
from flags_svc.store.instances import Instances, Report
from flags_svc.store.usage import Usage
from tests.flags_svc.processes import Process, a_process, served
from tests.flags_svc.replicas import ANN, a_flag, an_edit, wish

PRODUCTION = Edit("environment", "production", Environment("production"), "create")
SDK = "5d" * 16
MAX_BODY = 2**20


@dataclass(frozen=True)
class Scene:
    """One process, its reception, which stores when it is told to, and its API."""

    process: Process
    reception: Reception
    client: httpx.AsyncClient
    pool: Any

    async def change(self) -> None:
        await self.process.editor.edit(wish(an_edit(a_flag("f"))), ANN)

    async def report(self, sequence: int, **given: Any) -> httpx.Response:
        world = self.process.replica.world
        body = {
            "instance": SDK,
            "kind": "sdk",
            "name": "api",
            "environment": "production",
            "epoch": world.epoch,
            "revision": world.revision,
            "sequence": sequence,
            "applied_age_seconds": 0.0,
            **given,
        }
        return await self.client.post("/api/feature-flags/reports", json=body)

    async def told(self, **parameters: Any) -> Any:
        await self.reception.tick()
        answer = await self.client.get("/api/feature-flags/propagation", params=parameters)
        return answer.raise_for_status().json()

    async def counted(self) -> dict[tuple[str, str | None], int]:
        used = await Usage(self.pool).since(0)
        return {(flag, each.variant): each.count for flag, found in used.items() for each in found}


@pytest_asyncio.fixture
async def scene(flags_url: str, pool: Any) -> AsyncGenerator[Scene]:
    async with a_process(flags_url) as process:
        instruments = Instruments(CollectorRegistry())
        reception = Reception(process.replica, Instances(pool), Applied(pool), instruments)
        await process.editor.edit(wish(PRODUCTION, an_edit(a_flag("f"))), ANN)
        state = {
            "reception": reception,
            "configuration": process.configuration,
            "max_body_bytes": MAX_BODY,
        }
        async with (
            served(process.parts, reports.routes, state) as url,
            httpx.AsyncClient(base_url=url, verify=False) as client,
        ):
            yield Scene(process, reception, client, pool)


async def test_every_process_is_shown_with_what_it_lacks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LAG_SECONDS", 600.0)
    assert (await scene.report(1)).status_code == 204
    await scene.change()

    told = await scene.told()

    sdk, service = sorted(told["instances"], key=lambda each: str(each["kind"]))
    assert (told["epoch"], told["revision"]) == (scene.process.replica.world.epoch, 3)
    assert (service["kind"], service["revision"], service["behind"]) == ("service", 3, 0)
    assert (service["standing"], service["environment"]) == ("current", None)
    assert (sdk["instance"], sdk["name"], sdk["environment"]) == (SDK, "api", "production")
    assert (sdk["revision"], sdk["behind"], sdk["standing"]) == (2, 1, "behind")
    assert told["counts"] == {"current": 1, "behind": 1, "lagging": 0, "silent": 0}
    assert told["laggards"] == []


async def test_who_has_another_database_s_revision_lags(scene: Scene) -> None:
    await scene.report(1, epoch="another", revision=900)

    told = await scene.told(limit=1)

    (shown,) = told["instances"]
    assert (shown["revision"], shown["behind"], shown["standing"]) == (900, None, "lagging")
    assert told["laggards"] == [shown]
    assert told["counts"]["current"] == 1


async def test_each_change_is_counted_where_it_is_in_force(scene: Scene) -> None:
    before = (await scene.told())["change_to_applied"]["count"]
    await scene.report(1)
    await scene.told()
    await scene.change()
    await scene.report(2)
    await scene.report(3)
    await scene.told()
    await scene.report(4)

    found = (await scene.told())["change_to_applied"]

    # This process and the SDK, each once.
    assert (before, found["count"]) == (2, 4)
    assert found["buckets"][-1] == {"le": 60.0, "count": 4}
    assert 0 < found["p50"] <= found["p99"]


async def test_the_time_that_a_process_has_had_a_change_is_taken_off(scene: Scene) -> None:
    await scene.report(1)
    await scene.told()
    await scene.change()
    world = scene.process.replica.world
    at = world.flags["f"].updated_at + 100.0

    scene.reception.take(
        Report(SDK, "sdk", "api", "production", world.epoch, world.revision, 2, at), 70.0
    )
    found = (await scene.told())["change_to_applied"]

    beyond = [bucket["count"] for bucket in found["buckets"] if bucket["le"] >= 10.0]
    assert beyond == [3, 4, 4]


async def test_a_report_that_is_sent_again_counts_nothing_twice(scene: Scene) -> None:
    used = [
        {"flag": "f", "variant": "on", "count": 2},
        {"flag": "f", "variant": None, "count": 1},
        {"flag": "of somewhere else", "variant": "on", "count": 9},
    ]
    await scene.report(1, evaluations=used)
    await scene.report(1, evaluations=used)
    await scene.told()
    await scene.report(1, evaluations=used)
    await scene.report(2, evaluations=used[:1])
    await scene.report(3, environment="nowhere", evaluations=used)
    await scene.told()

    assert await scene.counted() == {("f", "on"): 4, ("f", None): 1}


async def test_reports_wait_for_a_database_that_is_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> Any:
        raise OSError

    monkeypatch.setattr(receptions, "MAX_WAITING", 3)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(scene.reception.instances, "record", away)
        for sequence in (1, 2, 3):
            used = [{"flag": "f", "variant": "on", "count": 1}]
            await scene.report(sequence, evaluations=used)
            await scene.reception.tick()
        refused = await scene.report(4)

    await scene.told()

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert await scene.counted() == {("f", "on"): 2}


async def test_what_is_asked_wrongly_is_refused(scene: Scene) -> None:
    wrong = await scene.report(-1)
    broken = await scene.client.post("/api/feature-flags/reports", content=b"{")
    large = await scene.client.post("/api/feature-flags/reports", content=b" " * (MAX_BODY + 1))
    limit = await scene.client.get("/api/feature-flags/propagation", params={"limit": 0})

    assert (wrong.status_code, wrong.json()["path"]) == (422, "sequence")
    assert (broken.status_code, large.status_code) == (400, 413)
    assert (limit.status_code, limit.json()["path"]) == (422, "limit")


async def test_what_waits_at_the_end_is_stored(scene: Scene) -> None:
    async with scene.reception.running():
        await scene.report(1, evaluations=[{"flag": "f", "variant": "on", "count": 2}])

    assert await scene.counted() == {("f", "on"): 2}


async def test_who_has_ended_is_shown_no_more(scene: Scene) -> None:
    await scene.report(1)
    assert len((await scene.told())["instances"]) == 2

    used = [{"flag": "f", "variant": "on", "count": 2}]
    await scene.report(2, ended=True, evaluations=used)
    await scene.report(1)

    assert [each["kind"] for each in (await scene.told())["instances"]] == ["service"]
    assert await scene.counted() == {("f", "on"): 2}


async def test_a_service_that_ends_says_so(scene: Scene) -> None:
    async with scene.reception.running():
        await scene.report(1)

    answer = await scene.client.get("/api/feature-flags/propagation")

    assert [each["kind"] for each in answer.json()["instances"]] == ["sdk"]
