"""``POST /api/metrics/events`` over the whole service and a real store."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics_svc.app import create_app
from metrics_svc.domain.event import Performance
from metrics_svc.domain.kind import PERFORMANCE
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask
from metrics_svc.settings import Settings
from metrics_svc.store.events import TABLES
from tests.metrics_svc.replica import T0, Clock, Replica, emptied, moment, recounted, told
from windsock_kit.testing import running

PATH = "/api/metrics/events"
PERFORMANCE_EVENT = {"type": "performance", "operation": "search", "duration_ms": 12.5}
EVENTS: dict[str, dict[str, Any]] = {
    "performance": PERFORMANCE_EVENT
    | {
        "status": "error",
        "error_type": "Timeout",
        "error_message": "took too long",
        "error_context": {"where": ["a", {"line": 3}], "more": None},
    },
    "llm_call": {
        "type": "llm_call",
        "operation": "answer",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1_000,
        "output_tokens": 50,
        "cached_input_tokens": 400,
        "cache_write_tokens": 0,
        "reasoning_tokens": 10,
        "duration_ms": 900,
        "cost_usd": 0.0125,
    },
    "quality": {
        "type": "quality",
        "operation": "answer",
        "score": 7.5,
        "refined": True,
        "accepted_first_pass": False,
        "evaluator": "judge",
    },
    "cache": {
        "type": "cache",
        "operation": "answer",
        "layer": "l2",
        "hit": False,
        "miss_reason": "expired",
        "saved_ms": 0,
        "saved_usd": 0,
    },
    "exposure": {
        "type": "exposure",
        "flag_key": "ranker",
        "variant": "b",
        "targeting_key": "user-1",
    },
    "probe": {
        "type": "probe",
        "target": "redis",
        "kind": "redis",
        "up": True,
        "latency_ms": 0.4,
        "detail": "PONG",
    },
}
COMMON = {
    "environment": "staging",
    "gap_priority": "high",
    "user_id": "u",
    "session_id": "s",
    "flags": {"ranker": "b"},
    "attributes": {"text": "ä界😀", "number": 1.5, "whole": 3, "yes": True, "none": None},
}


def body(*events: Any, batch: Any = None) -> bytes:
    return orjson.dumps({"batch_id": str(batch or uuid4()), "events": list(events)})


async def rows(pool: Any, table: str = "performance") -> list[Any]:
    found: list[Any] = await pool.fetch(f"SELECT * FROM metrics.{table} ORDER BY ts")
    return found


@pytest.mark.parametrize("kind", EVENTS)
async def test_event_of_every_kind_is_stored_with_all_its_fields(
    client: httpx.AsyncClient, pool: Any, kind: str
) -> None:
    event = EVENTS[kind] | COMMON | {"timestamp": datetime.now(UTC).isoformat()}

    answer = await client.post(PATH, content=body(event))

    assert answer.status_code == 200
    assert answer.json() == {"accepted": 1, "duplicate": False, "rejected": []}
    # The service probes its own database, too, but not in this environment.
    (row,) = [r for r in await rows(pool, TABLES[kind]) if r["environment"] == "staging"]
    assert row["ts"] == datetime.fromisoformat(event["timestamp"])
    renamed = {"saved_usd": "saved_nanos", "cost_usd": "cost_nanos"}
    for name in event.keys() - {"type", "timestamp"}:
        value = row[renamed.get(name, name)]
        if name in {"flags", "attributes", "error_context"}:
            value = orjson.loads(value)
        elif name in renamed:
            value = value / 1e9
        assert value == event[name], name


async def test_event_without_time_gets_the_time_of_arrival(
    client: httpx.AsyncClient, pool: Any
) -> None:
    before = datetime.now(UTC)
    await client.post(PATH, content=body(PERFORMANCE_EVENT))

    (row,) = await rows(pool)
    assert before <= row["ts"] <= datetime.now(UTC)
    assert row["environment"] == "production"


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "GZIP": gzip.compress,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_encoded_body_is_read(client: httpx.AsyncClient, pool: Any, encoding: str) -> None:
    content = ENCODINGS[encoding](body(PERFORMANCE_EVENT))

    answer = await client.post(PATH, content=content, headers={"Content-Encoding": encoding})

    assert answer.json()["accepted"] == 1
    assert len(await rows(pool)) == 1


async def test_good_events_among_bad_ones_are_stored(client: httpx.AsyncClient, pool: Any) -> None:
    now = datetime.now(UTC)
    events = [
        PERFORMANCE_EVENT,
        PERFORMANCE_EVENT | {"duration_ms": "fast"},
        EVENTS["llm_call"] | {"input_tokens": -1},
        {"type": "nonsense"},
        PERFORMANCE_EVENT | {"operation": "a\0b"},
        PERFORMANCE_EVENT | {"timestamp": (now - timedelta(days=8)).isoformat()},
        PERFORMANCE_EVENT | {"operation": "kept"},
        7,
    ]

    answer = await client.post(PATH, content=body(*events))

    told_of = answer.json()
    assert answer.status_code == 200
    assert told_of["accepted"] == 2
    assert [(r["index"], r["path"]) for r in told_of["rejected"]] == [
        (1, "duration_ms"),
        (2, "input_tokens"),
        (3, "type"),
        (4, "operation"),
        (5, "timestamp"),
        (7, ""),
    ]
    assert {row["operation"] for row in await rows(pool)} == {"search", "kept"}
    text = (await client.get("/metrics")).text
    assert 'metrics_events_rejected_total{field="duration_ms"} 1.0' in text


async def test_own_metrics_tell_of_the_pool_and_the_limit_of_series(
    core_url: str, pool: Any
) -> None:
    settings = Settings(database_url=core_url, new_series_per_hour=1)
    async with running(create_app(settings)) as client:
        events = [PERFORMANCE_EVENT | {"operation": name} for name in ("a", "b", "c")]
        await client.post(PATH, content=body(*events))
        text = (await client.get("/metrics")).text

    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(told["metrics_pool_connections"]) >= 1
    assert 0 <= float(told["metrics_pool_idle"]) <= float(told["metrics_pool_connections"])
    assert float(told["metrics_series_limited"]) >= 2
    assert float(told["metrics_ingest_queued_events"]) == 0


DEEP = b'{"type":"performance","operation":"x","duration_ms":1,"error_context":{"a":%s}}'
ENVELOPE = b'{"batch_id":"%s","events":[%s]}'
BAD_BODIES: dict[str, tuple[bytes, int, str, str | None]] = {
    "nothing": (b"", 400, "malformed_body", None),
    "no json": (b"events", 400, "malformed_body", None),
    "cut short": (body(PERFORMANCE_EVENT)[:-5], 400, "malformed_body", None),
    "not utf-8": (body(PERFORMANCE_EVENT).replace(b"search", b"\xff"), 400, "malformed_body", None),
    "lone surrogate": (
        body(PERFORMANCE_EVENT).replace(b"search", rb"\ud800"),
        400,
        "malformed_body",
        None,
    ),
    "nan": (body(PERFORMANCE_EVENT).replace(b"12.5", b"NaN"), 400, "malformed_body", None),
    "infinity": (
        body(PERFORMANCE_EVENT).replace(b"12.5", b"Infinity"),
        400,
        "malformed_body",
        None,
    ),
    "bad json behind a bad event": (
        ENVELOPE % (str(uuid4()).encode(), b'{"type":"x"},{]'),
        400,
        "malformed_body",
        None,
    ),
    "endless nesting": (
        ENVELOPE % (str(uuid4()).encode(), DEEP % (b"[" * 50_000 + b"]" * 50_000)),
        400,
        "malformed_body",
        None,
    ),
    "list": (b"[]", 422, "invalid", ""),
    "no batch id": (b'{"events":[]}', 422, "invalid", "batch_id"),
    "wrong batch id": (b'{"batch_id":"7","events":[]}', 422, "invalid", "batch_id"),
    "no events": (b'{"batch_id":"%s"}' % str(uuid4()).encode(), 422, "invalid", "events"),
    "more fields": (
        b'{"batch_id":"%s","events":[],"x":1}' % str(uuid4()).encode(),
        422,
        "invalid",
        "x",
    ),
    "too many events": (body(*[PERFORMANCE_EVENT] * 5_001), 413, "too_large", "events"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_wrong_body_is_refused_whole_with_problem_details(
    client: httpx.AsyncClient, pool: Any, name: str
) -> None:
    content, status, code, path = BAD_BODIES[name]

    answer = await client.post(PATH, content=content)

    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"] == f"urn:windsock:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem.get("path") == path
    assert await rows(pool) == []


async def test_largest_batch_is_stored(client: httpx.AsyncClient, pool: Any) -> None:
    answer = await client.post(PATH, content=body(*[PERFORMANCE_EVENT] * 5_000))

    assert answer.json()["accepted"] == 5_000
    assert len(await rows(pool)) == 5_000


async def test_unknown_encoding_is_told_the_known_ones(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=b"x", headers={"Content-Encoding": "br"})

    assert answer.status_code == 415
    assert answer.json()["allowed"] == ["gzip", "zstd", "deflate", "identity"]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("zstd", zstd.compress), ("deflate", zlib.compress)],
)
async def test_bomb_is_refused_at_the_limit(
    client: httpx.AsyncClient, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(b" " * (33 * 2**20))

    answer = await client.post(PATH, content=bomb, headers={"Content-Encoding": encoding})

    assert answer.status_code == 413
    assert answer.json()["limit"] == "max_decompressed_bytes"


async def test_damaged_encoding_is_malformed(client: httpx.AsyncClient) -> None:
    damaged = gzip.compress(body(PERFORMANCE_EVENT))[:-9]

    answer = await client.post(PATH, content=damaged, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 400


async def test_body_over_the_limit_is_refused_as_sent(client: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(9):
            yield b" " * 2**20

    announced = await client.post(PATH, content=b" " * (8 * 2**20 + 1))
    streamed = await client.post(PATH, content=chunks())

    assert announced.status_code == streamed.status_code == 413
    assert streamed.json()["limit"] == "max_bytes"


@pytest.mark.parametrize("events", [[PERFORMANCE_EVENT] * 3, [], [{"type": "nonsense"}]])
async def test_repeated_batch_changes_nothing(
    client: httpx.AsyncClient, pool: Any, events: list[Any]
) -> None:
    batch = uuid4()

    first = (await client.post(PATH, content=body(*events, batch=batch))).json()
    second = (await client.post(PATH, content=body(*events, batch=batch))).json()

    good = len([event for event in events if event is PERFORMANCE_EVENT])
    assert first == {"accepted": good, "duplicate": False, "rejected": first["rejected"]}
    assert second == {"accepted": 0, "duplicate": True, "rejected": first["rejected"]}
    assert len(await rows(pool)) == good


async def test_repeated_batch_changes_nothing_after_a_restart(core_url: str, pool: Any) -> None:
    content = body(*[PERFORMANCE_EVENT] * 3)
    answers = []
    for _ in range(2):
        async with running(create_app(Settings(database_url=core_url))) as client:
            answers.append((await client.post(PATH, content=content)).json())
            core = (await client.get("/api/metrics/dashboard")).json()["performance"]
            assert core["all_operations"]["count"] == 3

    assert [answer["duplicate"] for answer in answers] == [False, True]


async def test_same_batch_to_two_replicas_at_once_is_stored_once(core_url: str, pool: Any) -> None:
    bodies = [body(*[PERFORMANCE_EVENT] * 2) for _ in range(20)]
    async with AsyncExitStack() as stack:
        apps = [create_app(Settings(database_url=core_url)) for _ in range(2)]
        clients = [await stack.enter_async_context(running(app)) for app in apps]

        answers = await asyncio.gather(
            *(client.post(PATH, content=content) for content in bodies * 2 for client in clients)
        )
        boards = [(await client.get("/api/metrics/dashboard")).json() for client in clients]

    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["accepted"] for answer in answers) == 40
    assert sum(not answer.json()["duplicate"] for answer in answers) == 20
    assert len(await rows(pool)) == 40
    assert [b["performance"]["all_operations"]["count"] for b in boards] == [40, 40]


async def test_store_that_is_away_answers_503_and_comes_back(own_postgres: Any) -> None:
    url = await own_postgres.new_database("windsock")
    content = body(PERFORMANCE_EVENT)
    async with running(create_app(Settings(database_url=url))) as client:
        await client.post(PATH, content=body(PERFORMANCE_EVENT))
        own_postgres.stop()

        refused = [
            await client.post(PATH, content=content),
            await client.get("/api/metrics/dashboard"),
            await client.post(PATH, content=body(PERFORMANCE_EVENT | {"operation": "new"})),
        ]
        live = await client.get("/livez")
        await own_postgres.start()
        again = await client.post(PATH, content=content)

        board = (await client.get("/api/metrics/dashboard")).json()
        assert board["performance"]["all_operations"]["count"] == 2

    assert live.status_code == 200
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert {answer.json()["code"] for answer in refused} == {"unavailable"}
    assert again.json() == {"accepted": 1, "duplicate": False, "rejected": []}


async def test_full_queue_refuses_for_now(core_url: str, pool: Any) -> None:
    app = create_app(Settings(database_url=core_url, max_queued_events=10))
    async with running(app) as client:
        await client.post(PATH, content=body(PERFORMANCE_EVENT))
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK metrics.performance IN ACCESS EXCLUSIVE MODE")
            sending = [
                asyncio.create_task(client.post(PATH, content=body(*[PERFORMANCE_EVENT] * 4)))
                for _ in range(8)
            ]
            done, waiting = await asyncio.wait(
                sending, return_when=asyncio.FIRST_COMPLETED, timeout=5
            )
            refused = [task.result() for task in done]
        answers = [await task for task in waiting]

    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.status_code for answer in answers} <= {200, 503}
    stored = sum(answer.json().get("accepted", 0) for answer in answers)
    assert len(await rows(pool)) == stored + 1


sends = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=14)


@settings(max_examples=15, deadline=timedelta(seconds=10), suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(sends, min_size=1, max_size=3), size=st.integers(0, 3))
async def test_batches_sent_any_number_of_times_anywhere_count_once(
    core_pool: Any, rounds: list[Any], size: int
) -> None:
    await emptied(core_pool)
    clock = Clock(T0 + 50)
    batches = [uuid4() for _ in range(5)]
    window = Window(T0 - 3_600, T0 + 3_600)

    def events(number: int) -> list[Any]:
        return [
            Performance(
                timestamp=moment(T0 + 40 - age * 1_000), operation=f"o{number}", duration_ms=age
            )
            for age in range(size)
        ]

    async with AsyncExitStack() as stack:
        fresh = 0
        replicas: list[Replica] = []
        for sent in rounds:
            # Each round is another life of both replicas.
            replicas = [
                await stack.enter_async_context(Replica(core_pool, clock).running())
                for _ in range(2)
            ]
            outcomes = await asyncio.gather(
                *(
                    replicas[who].ingest.submit_batch(batches[number], events(number))
                    for number, who in sent
                )
            )
            fresh += sum(outcome is not None for outcome in outcomes)
        different = {number for sent in rounds for number, _ in sent}

        assert fresh == len(different)
        (summary,) = await replicas[0].engine.ask(
            window, [Ask(PERFORMANCE, ("operation",), histogram=True)]
        )
        assert told(summary) == await recounted(core_pool, PERFORMANCE, window)
        assert summary.counter("count").sum() == len(different) * size
