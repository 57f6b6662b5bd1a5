"""Probes of real dependencies, and what the service tells of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.app import create_app
from metrics_svc.domain.event import Probe
from metrics_svc.domain.health import ProbeResult
from metrics_svc.probes.check import check
from metrics_svc.probes.monitor import MAX_WAITING, SETTLING_TICKS, Probes
from metrics_svc.probes.target import parse_targets, store_target
from metrics_svc.settings import Settings
from tests.fixtures.servers import RunningPostgres
from windsock_embedded import ports
from windsock_kit.clock import utc_now
from windsock_kit.errors import UnavailableError
from windsock_kit.testing import FakeClock, running, serving

NewDatabase = Callable[[], Awaitable[str]]


async def checked(address: str, *, seconds: float = 2.0) -> ProbeResult:
    (target,) = parse_targets(f"it={address}")
    return await check(target, seconds=seconds, now=utc_now)


def answering(status_of: dict[str, int]) -> Starlette:
    async def answer(request: Request) -> Response:
        return Response("", status_of.get(request.url.path, 404))

    return Starlette(routes=[Route("/{path:path}", answer)])


@pytest.fixture
def refused() -> int:
    """Give a port of this machine that nobody listens on."""
    return ports.free_port()


@asynccontextmanager
async def hanging() -> AsyncGenerator[int]:
    """Give a port that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(listener):
        yield listener.getsockname()[1]


async def test_redis_that_answers_is_up(redis_url: str) -> None:
    found = await checked(redis_url)

    assert (found.target, found.kind, found.status, found.detail) == ("it", "redis", "up", None)
    assert found.latency_ms is not None
    assert 0 < found.latency_ms < 2000
    assert found.checked_at is not None


async def test_postgresql_that_answers_is_up(database_url: str) -> None:
    found = await check(store_target(database_url), seconds=2.0, now=utc_now)

    assert (found.target, found.kind, found.status) == ("postgresql", "postgresql", "up")


async def test_postgresql_that_refuses_the_password_is_down(database_url: str) -> None:
    found = await checked(database_url.replace(":", ":not-", 2).replace(":not-//", "://", 1))

    assert found.status == "down"
    assert found.detail is not None
    assert "password authentication failed" in found.detail


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "up"), (204, "up"), (302, "up"), (404, "down"), (503, "down")],
)
async def test_http_target_is_up_below_400(status: int, expected: str) -> None:
    async with serving(answering({"/up": status})) as address:
        found = await checked(f"{address}/up")

    assert found.status == expected
    assert found.detail == (None if expected == "up" else f"answered {status}")


@pytest.mark.parametrize(
    ("paths", "detail"),
    [
        pytest.param({"/readyz": 200}, None, id="ready"),
        pytest.param({"/readyz": 503, "/healthz": 200}, "answered 503", id="not ready"),
        pytest.param({"/healthz": 200}, None, id="old version"),
        pytest.param({}, "answered 404", id="not Qdrant"),
    ],
)
async def test_qdrant_is_asked_whether_it_is_ready(
    paths: dict[str, int], detail: str | None
) -> None:
    async with serving(answering(paths)) as address:
        found = await checked(address.replace("http", "qdrant"))

    assert (found.kind, found.status) == ("qdrant", "up" if detail is None else "down")
    assert found.detail == detail


async def test_tcp_port_that_is_open_is_up() -> None:
    async with hanging() as port:
        assert (await checked(f"tcp://127.0.0.1:{port}")).status == "up"


@pytest.mark.parametrize(
    "scheme", ["postgresql", "redis", "rediss", "qdrant", "http", "https", "tcp"]
)
async def test_port_that_refuses_is_down(scheme: str, refused: int) -> None:
    found = await checked(f"{scheme}://127.0.0.1:{refused}")

    assert (found.status, found.latency_ms) == ("down", None)
    assert found.detail is not None
    assert "onnect" in found.detail


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "rediss", "qdrant", "http", "https"])
async def test_port_that_hangs_is_down_in_time(scheme: str) -> None:
    async with hanging() as port, asyncio.timeout(1.5):
        found = await checked(f"{scheme}://127.0.0.1:{port}", seconds=0.2)

    assert (found.status, found.detail) == ("down", "no answer within 0.2 s")


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "http"])
async def test_reason_holds_no_secret(scheme: str, refused: int) -> None:
    found = await checked(f"{scheme}://u:hunter2@127.0.0.1:{refused}/hunter2")

    assert found.status == "down"
    assert "hunter2" not in str(found.detail)


class Sink:
    """A store of batches that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.batches: dict[UUID, Sequence[Probe]] = {}

    async def submit(self, batch_id: UUID, events: Sequence[Probe]) -> None:
        if self.away:
            raise UnavailableError("away")
        assert batch_id not in self.batches
        self.batches[batch_id] = events


async def test_results_are_kept_and_become_events(redis_url: str, refused: int) -> None:
    sink, clock = Sink(), FakeClock()
    targets = parse_targets(f"cache={redis_url},gone=tcp://127.0.0.1:{refused}")
    probes = Probes(targets, sink.submit, interval=10, clock=clock)
    assert [result.status for result in probes.latest()] == ["unknown", "unknown"]

    await probes.tick()
    await probes.settle()

    assert [(r.target, r.status) for r in probes.latest()] == [("cache", "up"), ("gone", "down")]
    (batch,) = sink.batches.values()
    assert [(e.target, e.kind, e.up, e.timestamp) for e in batch] == [
        ("cache", "redis", True, clock()),
        ("gone", "tcp", False, clock()),
    ]


async def test_a_new_service_waits_for_targets_not_yet_up_but_not_for_ever(
    redis_url: str, refused: int
) -> None:
    started = parse_targets(f"a={redis_url}")
    missing = parse_targets(f"a={redis_url},gone=tcp://127.0.0.1:{refused}")
    there = Probes(started, Sink().submit, interval=10, clock=FakeClock())
    waiting = Probes(missing, Sink().submit, interval=10, clock=FakeClock())
    at_start = there.settling

    await there.tick()
    settled = []
    for _ in range(SETTLING_TICKS):
        settled.append(waiting.settling)
        await waiting.tick()

    assert (at_start, there.settling) == (True, False)
    assert [*settled, waiting.settling] == [*[True] * SETTLING_TICKS, False]


async def test_a_target_that_comes_up_with_the_service_is_seen_at_once(
    new_database: NewDatabase, refused: int
) -> None:
    # With the usual interval alone it would be down for five minutes.
    settings = Settings(
        database_url=await new_database(),
        probes=f"late=tcp://127.0.0.1:{refused}",
        probe_interval_seconds=300,
    )
    async with running(create_app(settings)) as client:
        await answered(client, components__1__status="down")
        with socket.create_server(("127.0.0.1", refused)):
            await answered(client, components__1__status="up", status="healthy")


async def test_result_is_unknown_after_three_intervals(redis_url: str) -> None:
    clock = FakeClock()
    probes = Probes(parse_targets(f"a={redis_url}"), Sink().submit, interval=10, clock=clock)
    await probes.tick()

    clock.advance(30)
    assert [result.status for result in probes.latest()] == ["up"]
    clock.advance(10)
    assert [result.status for result in probes.latest()] == ["unknown"]


async def test_events_wait_while_the_store_is_away_but_not_without_end(refused: int) -> None:
    sink = Sink()
    sink.away = True
    targets = parse_targets(f"gone=tcp://127.0.0.1:{refused}")
    probes = Probes(targets, sink.submit, interval=10, clock=utc_now)
    for _ in range(MAX_WAITING + 5):
        await probes.tick()
        await probes.settle()
    assert not sink.batches

    sink.away = False
    await probes.tick()
    await probes.settle()

    assert len(sink.batches) == MAX_WAITING


async def test_tick_does_not_wait_for_a_store_that_hangs(refused: int) -> None:
    asked: list[UUID] = []

    async def hang(batch_id: UUID, _: Sequence[Probe]) -> None:
        asked.append(batch_id)
        await asyncio.Event().wait()

    probes = Probes(
        parse_targets(f"gone=tcp://127.0.0.1:{refused}"), hang, interval=10, clock=utc_now
    )
    async with asyncio.timeout(2), probes.running():
        for _ in range(3):
            await probes.tick()
            await asyncio.sleep(0)

    assert len(asked) == 1


async def test_change_is_logged_once(refused: int) -> None:
    targets = parse_targets(f"gone=tcp://127.0.0.1:{refused}")
    probes = Probes(targets, Sink().submit, interval=10, clock=utc_now)

    with structlog.testing.capture_logs() as logs:
        await probes.tick()
        await probes.tick()

    changes = [(log["target"], log["status"]) for log in logs if log["event"] == "probe_changed"]
    assert changes == [("gone", "down")]


async def answered(client: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    """Return the first answer about health in which ``wanted`` holds; the path of a member is a__b."""
    async with asyncio.timeout(20):
        while True:
            response = await client.get("/api/metrics/health?time_window_minutes=5")
            assert response.status_code == 200
            body: dict[str, Any] = response.json()
            if all(_at(body, path) == value for path, value in wanted.items()):
                return body
            await asyncio.sleep(0.02)


def _at(body: Any, path: str) -> Any:
    for name in path.split("__"):
        body = body[int(name)] if name.isdecimal() else body[name]
    return body


async def test_health_tells_every_target_the_store_and_the_ingest(
    new_database: NewDatabase, redis_url: str, refused: int
) -> None:
    settings = Settings(
        database_url=await new_database(),
        probes=f"cache={redis_url},gone=tcp://127.0.0.1:{refused}",
        probe_interval_seconds=0.1,
    )
    async with running(create_app(settings)) as client:
        body = await answered(
            client, status="degraded", components__0__uptime_percent=100.0, store__status="up"
        )

    store, cache, gone = body["components"]
    assert (store["target"], store["kind"], store["status"]) == ("postgresql", "postgresql", "up")
    assert (cache["target"], cache["status"], cache["uptime_percent"]) == ("cache", "up", 100.0)
    assert (gone["target"], gone["status"], gone["uptime_percent"]) == ("gone", "down", 0.0)
    assert gone["checks"] >= 1
    assert body["store"]["edition"] == "postgresql"
    assert body["ingest"]["queued_events"] >= 0
    assert body["ingest"]["last_commit_at"] is not None
    assert (body["time_window_minutes"], body["filters"]) == (5, {})


async def test_health_is_healthy_with_everything_up(client: httpx.AsyncClient) -> None:
    await answered(client, status="healthy", components__0__status="up")


async def test_health_takes_filters_and_refuses_what_it_does_not_know(
    client: httpx.AsyncClient,
) -> None:
    filtered = await client.get("/api/metrics/health?environment=staging")
    wrong = await client.get("/api/metrics/health?minutes=5")

    assert filtered.json()["filters"] == {"environment": "staging"}
    assert filtered.json()["components"][0]["checks"] == 0
    assert filtered.json()["components"][0]["uptime_percent"] is None
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")


async def test_health_answers_without_the_store_and_tells_afterwards(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_database("windsock")
    app = create_app(Settings(database_url=url, probe_interval_seconds=0.1))
    async with running(app) as client:
        await answered(client, status="healthy", components__0__status="up")
        assert (await client.get("/readyz")).status_code == 200

        await asyncio.to_thread(own_postgres.stop)
        down = await answered(client, status="unhealthy", components__0__status="down")
        ready = await client.get("/readyz")

        await own_postgres.start()
        back = await answered(client, status="healthy", components__0__status="up")
        # What was seen while the store was away is stored now.
        async with asyncio.timeout(20):
            uptime = None
            while uptime in {None, 0.0, 100.0}:
                uptime = (await answered(client))["components"][0]["uptime_percent"]

    assert down["store"] == dict.fromkeys(("edition", "version", "timescaledb_version")) | {
        "status": "down"
    }
    assert (down["components"][0]["uptime_percent"], down["components"][0]["checks"]) == (
        None,
        None,
    )
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert ready.json()["checks"]["database"] != "ok"
    assert back["store"]["status"] == "up"


async def test_service_that_is_not_migrated_is_not_ready(running_postgres: RunningPostgres) -> None:
    app = create_app(Settings(database_url=running_postgres.server.url("postgres")))
    async with running(app) as client:
        ready = await client.get("/readyz")
        health = await client.get("/api/metrics/health")

    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "UndefinedTableError")
    assert (health.status_code, health.json()["status"]) == (200, "unhealthy")
