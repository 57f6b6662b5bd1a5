from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.ports import Lease, Leases, Refused, Retry
from alerts_svc.store.channels import Channels
from alerts_svc.store.rules import Rules
from tests.alerts_svc.services import Recorder, alerts_service, pages, rule, runs, send_events
from tests.fixtures.servers import RunningPostgres
from windsock_embedded import ports


async def eventually(
    wanted: Callable[[], Awaitable[bool]] | Callable[[], bool], *, seconds: float = 20.0
) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = wanted()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.05)


class Stopped:
    """Leases of a process that can be stopped, as by a signal: it neither renews nor hears."""

    def __init__(self, real: Leases) -> None:
        self._real = real
        self.running = asyncio.Event()
        self.running.set()

    async def campaign(self, owner: str, *, ttl: float, own: float | None = None) -> Lease | None:
        await self.running.wait()
        return await self._real.campaign(owner, ttl=ttl, own=own)

    async def resign(self, lease: Lease) -> None:
        await self._real.resign(lease)


class Lost(Stopped):
    """Leases of a process that has lost the store, alone of all."""

    away = False

    async def campaign(self, owner: str, *, ttl: float, own: float | None = None) -> Lease | None:
        if self.away:
            raise ConnectionRefusedError
        return await super().campaign(owner, ttl=ttl, own=own)


async def test_an_announced_breach_need_not_wait_for_the_next_evaluation(
    alerts_url: str, pool: Any, metrics_url: str, redis_url: str
) -> None:
    await Rules(pool).create(rule("Announced", "announced"))
    sink = Recorder()
    settings = {
        "redis_url": redis_url,
        "evaluation_interval_seconds": 60.0,
        "evaluation_gap_seconds": 0.2,
    }

    async with alerts_service(alerts_url, metrics_url, sink.parts(), **settings) as client:
        # The store has its own probes, which are announced as well.
        await eventually(lambda: _evaluated(pool))
        began = time.monotonic()
        await send_events(metrics_url, runs("announced", 9_000))
        message = await sink.until(pages("Announced"))
        lasted = time.monotonic() - began
        await eventually(lambda: _exposes(client, 'stage="total"'))
        exposed = (await client.get("/metrics")).text

    item = next(i for i in message.items if i.labels.get("operation") == "announced")
    assert lasted < 5
    assert item.event_at is not None
    assert message.details is not None
    assert message.details.operations == ("announced",)
    assert all(
        f'alerts_time_to_notify_seconds_count{{stage="{stage}"}}' in exposed
        for stage in ("seen", "decided", "delivered", "total")
    )
    assert 'ALERTS{alertname="Announced",alertstate="firing",severity="critical"} 1.0' in exposed
    assert "alerts_lease_held 1.0" in exposed


async def _exposes(client: Any, series: str) -> bool:
    return series in (await client.get("/metrics")).text


async def _evaluated(pool: Any) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM alerts.evaluations"))


async def test_what_people_change_is_in_force_at_once_on_another_replica(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    sink = Recorder()
    settings = {"evaluation_interval_seconds": 0.5}
    await send_events(metrics_url, runs("changed", 9_000))
    async with (
        alerts_service(alerts_url, metrics_url, sink.parts(), **settings) as one,
        alerts_service(alerts_url, metrics_url, sink.parts(), **settings) as other,
    ):
        await eventually(lambda: _evaluated(pool))
        ready = [(await client.get("/readyz")).status_code for client in (one, other)]
        await Rules(pool).create(rule("Changed", "changed"))
        await sink.until(pages("Changed"))
        await Rules(pool).delete("Changed")
        over = await sink.until(lambda m: pages("Changed")(m) and m.status == "resolved")

    assert ready == [200, 200]
    assert over.items[0].change is Change.RESOLVED
    assert len({message.id for message in sink.tried}) == len(sink.tried) == 2


async def test_listening_goes_on_after_its_connection_was_cut(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    sink = Recorder()
    settings = {"evaluation_interval_seconds": 60.0, "lease_seconds": 60.0}
    await send_events(metrics_url, runs("cut", 9_000))
    async with alerts_service(alerts_url, metrics_url, sink.parts(), **settings):
        await eventually(lambda: _evaluated(pool))
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'alerts-svc listener' AND datname = current_database()"
        )
        await eventually(lambda: _listens(pool))
        await Rules(pool).create(rule("Cut", "cut"))

        # Only a notification tells of it in time: lease and evaluation are due in a minute.
        await sink.until(pages("Cut"))


async def _listens(pool: Any) -> bool:
    return bool(
        await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'alerts-svc listener'"
            " AND query LIKE 'LISTEN%' AND datname = current_database()"
        )
    )


async def test_when_the_owner_stops_another_takes_over_and_nothing_is_told_twice(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    await Rules(pool).create(rule("Takeover", "takeover"))
    first, second = Recorder(), Recorder()
    stopped: list[Stopped] = []

    def leases(real: Leases) -> Leases:
        stopped.append(Stopped(real))
        return stopped[-1]

    settings = {"evaluation_interval_seconds": 0.5, "lease_seconds": 3.0}
    mine = replace(first.parts(), leases=leases)
    async with alerts_service(alerts_url, metrics_url, mine, **settings):
        await eventually(lambda: _evaluated(pool))
        async with alerts_service(alerts_url, metrics_url, second.parts(), **settings):
            stopped[0].running.clear()
            began = time.monotonic()
            await send_events(metrics_url, runs("takeover", 9_000))
            await eventually(lambda: bool(first.taken or second.taken))
            await eventually(lambda: _owners(pool, 2))
            lasted = time.monotonic() - began
            stopped[0].running.set()
            await asyncio.sleep(1.5)

    told = [m.id for m in (*first.taken, *second.taken) if pages("Takeover")(m)]
    assert len(told) == len(set(told)) == 1
    assert lasted < 8


async def _owners(pool: Any, fence: int) -> bool:
    return bool(await pool.fetchval("SELECT fence >= $1 FROM alerts.leases", fence))


async def test_a_replica_that_ends_hands_over_at_once(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    settings = {"evaluation_interval_seconds": 0.5, "lease_seconds": 8.0}
    async with alerts_service(alerts_url, metrics_url, Recorder().parts(), **settings):
        await eventually(lambda: _evaluated(pool))
    owner = await pool.fetchval("SELECT owner FROM alerts.leases")

    async with alerts_service(alerts_url, metrics_url, Recorder().parts(), **settings):
        began = time.monotonic()
        await eventually(lambda: _owners(pool, 2))
        lasted = time.monotonic() - began

    assert owner == ""
    assert lasted < 3


async def test_while_its_own_store_is_away_every_channel_hears_of_it_once(
    own_postgres: RunningPostgres, metrics_url: str, tmp_path: Path
) -> None:
    url = await own_postgres.new_alerts_database("alerts")
    sink = Recorder({"hook": [Retry("not yet")]})
    settings = {
        "evaluation_interval_seconds": 0.5,
        "lease_seconds": 2.0,
        "impaired_after_seconds": 2.0,
        "state_dir": str(tmp_path),
    }
    async with alerts_service(url, metrics_url, sink.parts(), **settings) as client:
        await eventually(lambda: _ready(client))
        await _with_pool(url, _add_channel)
        await asyncio.sleep(1.0)
        own_postgres.stop()
        impaired = [
            await sink.until(pages(builtin.EVALUATION_IMPAIRED, channel))
            for channel in ("console", "hook")
        ]
        live, ready = await client.get("/livez"), await client.get("/readyz")
        journal = list(tmp_path.iterdir())
        await own_postgres.start()
        over = await sink.until(lambda m: m.status == "resolved" and m.channel == "hook")
        await eventually(lambda: not list(tmp_path.iterdir()))
        history = await _with_pool(url, _history)

    assert (live.status_code, ready.status_code) == (200, 503)
    assert len(journal) == 1
    assert {m.items[0].incident for m in (*impaired, over)} == {over.items[0].incident}
    assert [m.id for m in sink.taken if m.status == "firing"].count(impaired[0].id) == 1
    assert history == ["fired", "resolved"]


async def test_a_replica_that_alone_has_lost_the_store_does_not_cry_wolf(
    alerts_url: str, pool: Any, metrics_url: str, redis_url: str
) -> None:
    cut = Recorder()
    settings = {
        "evaluation_interval_seconds": 0.5,
        "lease_seconds": 2.0,
        "impaired_after_seconds": 5.0,
        "redis_url": redis_url,
    }
    lost: list[Lost] = []

    def leases(real: Leases) -> Leases:
        lost.append(Lost(real))
        return lost[-1]

    mine = replace(cut.parts(), leases=leases)
    async with alerts_service(alerts_url, metrics_url, mine, **settings):
        await eventually(lambda: _evaluated(pool))
        async with alerts_service(alerts_url, metrics_url, Recorder().parts(), **settings):
            lost[0].away = True
            await eventually(lambda: _owners(pool, 2))
            await asyncio.sleep(7)

    assert [m for m in cut.tried if pages(builtin.EVALUATION_IMPAIRED)(m)] == []


async def test_a_channel_that_does_not_deliver_is_told_of_on_the_others(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    await Channels(pool).create(Channel("hook", Kind.WEBHOOK, {"url": "http://127.0.0.1:1/"}))
    for number in range(3):
        await Rules(pool).create(rule(f"Failing{number}", "failing"))
    sink = Recorder({"hook": [Refused("no such thing", 404)] * 20})
    await send_events(metrics_url, runs("failing", 9_000))

    async with alerts_service(
        alerts_url, metrics_url, sink.parts(), evaluation_interval_seconds=0.5
    ) as client:
        message = await sink.until(pages(builtin.CHANNEL_FAILING))
        exposed = (await client.get("/metrics")).text

    assert message.items[0].labels["channel"] == "hook"
    assert any(told.notice for told in sink.taken if told.channel == "console")
    assert 'alerts_outbox_messages{channel="hook"}' in exposed


async def test_whoever_acts_goes_on_while_people_ask_more_than_the_store_can_answer(
    alerts_url: str, pool: Any, metrics_url: str
) -> None:
    async with alerts_service(
        alerts_url, metrics_url, Recorder().parts(), lease_seconds=2.0, database_pool_size=4
    ) as client:
        await eventually(lambda: _evaluated(pool))
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE alerts.incidents IN ACCESS EXCLUSIVE MODE")
            asked = [asyncio.create_task(client.get("/api/alerts/history")) for _ in range(20)]
            await asyncio.sleep(3)
            acts = await connection.fetchval(
                "SELECT expires_at > now() + interval '3 s' FROM alerts.leases"
            )
        answers = await asyncio.gather(*asked)

    assert acts
    assert {answer.status_code for answer in answers} == {200}


async def _ready(client: Any) -> bool:
    return bool((await client.get("/readyz")).status_code == 200)


async def _with_pool(url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        return await work(pool)


async def _add_channel(pool: Any) -> None:
    await Channels(pool).create(Channel("hook", Kind.WEBHOOK, {"url": "http://127.0.0.1:1/"}))


async def _history(pool: Any) -> list[str]:
    rows = await pool.fetch("SELECT change FROM alerts.transitions ORDER BY sequence")
    return [row["change"] for row in rows]


async def test_without_store_it_starts_and_says_that_it_is_not_ready(metrics_url: str) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{ports.free_port()}/nothing"

    async with alerts_service(nowhere, metrics_url, Recorder().parts()) as client:
        live, ready = await client.get("/livez"), await client.get("/readyz")

    assert (live.status_code, ready.status_code) == (200, 503)
