"""Two processes on one store: they agree, whoever of them takes a batch in or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import orjson

import windsock
from tests.faults.service import Service, delivered, numbers, record, until

ServiceFor = Callable[[str], Service]
SenderFor = Callable[[Service], windsock.MetricsCollector]


def batch(start: int, size: int) -> bytes:
    events = [
        {
            "type": "performance",
            "operation": "load",
            "duration_ms": number,
            "attributes": {"number": number},
        }
        for number in range(start, start + size)
    ]
    return orjson.dumps({"batch_id": str(uuid4()), "events": events})


async def test_replicas_agree_on_same_and_different_batches(
    service_for: ServiceFor, url: str, connection: asyncpg.Connection[Any]
) -> None:
    replicas = [service_for(url), service_for(url)]
    await asyncio.gather(*(replica.start() for replica in replicas))
    same = [batch(start, 10) for start in range(0, 500, 10)]
    own = [batch(start, 10) for start in range(1_000, 2_000, 10)]

    async with httpx.AsyncClient(timeout=20) as client:

        async def post(replica: Service, content: bytes) -> Any:
            answer = await client.post(f"{replica.url}/api/metrics/events", content=content)
            assert answer.status_code == 200
            return answer.json()

        answers = await asyncio.gather(
            *(post(replica, content) for content in same for replica in replicas),
            *(post(replicas[n % 2], content) for n, content in enumerate(own)),
        )
        boards = [
            (await client.get(f"{replica.url}/api/metrics/performance")).json()
            for replica in replicas
        ]

    assert sum(answer["accepted"] for answer in answers) == 1_500
    assert sum(answer["duplicate"] for answer in answers) == 50
    assert await numbers(connection) == [*range(500), *range(1_000, 2_000)]
    assert boards[0]["all_operations"] == boards[1]["all_operations"]
    assert boards[0]["all_operations"]["count"] == 1_500


async def test_replica_that_lives_finishes_for_one_that_was_killed(
    service_for: ServiceFor,
    sender_for: SenderFor,
    url: str,
    connection: asyncpg.Connection[Any],
) -> None:
    gone, other = service_for(url), service_for(url)
    await asyncio.gather(gone.start(), other.start())
    senders = [sender_for(gone), sender_for(other)]
    record(senders[0], range(500))
    await delivered(senders[0])
    lost = await connection.fetchval("SELECT id FROM metrics.writers WHERE folded_3600 < 9e18")
    record(senders[1], range(500, 1_000))
    await delivered(senders[1])

    gone.kill()

    async def retired() -> bool:
        # As if the minutes after which a replica counts as gone had passed; each time, because a
        # statement that it had sent before it died may still say that it was seen.
        return bool(
            await connection.fetchval(
                """
                UPDATE metrics.writers
                SET seen_at = now() - interval '5 minutes'
                WHERE id = $1
                RETURNING retired_at IS NOT NULL
                """,
                lost,
            )
        )

    await until(retired, "the writer of the killed replica is retired")
    assert await other.total() == 1_000
    record(senders[1], range(1_000, 1_100))
    await delivered(senders[1])
    assert await other.total() == 1_100
