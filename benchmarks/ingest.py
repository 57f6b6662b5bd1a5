"""Durable events per second through HTTP, beside a raw COPY of the same rows into the same PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from benchmarks import harness, workload
from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import OwnPrices
from metrics_svc.domain.tally import COLUMNS, tally
from metrics_svc.store.events import TABLES
from metrics_svc.wire.batch import Limits, parse_batch

BATCH = 500
IN_FLIGHT = 8
_LIMITS = Limits(5_000, timedelta(days=7), timedelta(minutes=5))


def _bodies(batches: int) -> list[bytes]:
    rng = random.Random(1)
    placeholder = workload.PLACEHOLDER.decode()
    return [workload.batch(rng, iter([placeholder] * BATCH)) for _ in range(batches)]


def _requests(bodies: list[bytes]) -> Iterator[bytes]:
    """Yield the requests, with the time of sending put in as it is sent."""
    for body in bodies:
        now = workload.stamp(time.time()).encode()
        yield harness.request(
            "POST", "/api/metrics/events", body.replace(workload.PLACEHOLDER, now)
        )


def _rows(bodies: list[bytes]) -> dict[str, list[tuple[Any, ...]]]:
    prices = PriceBook(GenaiCatalogue(), OwnPrices())
    rows: dict[str, list[tuple[Any, ...]]] = {}
    now = datetime.now(UTC)
    stamp = workload.stamp(now.timestamp()).encode()
    for body in bodies:
        events = parse_batch(
            body.replace(workload.PLACEHOLDER, stamp), _LIMITS, received=now
        ).events
        for part in tally(events, prices):
            rows.setdefault(part.kind.name, []).extend(part.rows)
    return rows


async def _raw_copy(url: str, rows: dict[str, list[tuple[Any, ...]]]) -> float:
    """Return the seconds that COPY takes for all rows: one connection, commits of 500, time index."""
    connection = await asyncpg.connect(url)
    try:
        for kind in rows:
            table = TABLES[kind]
            await connection.execute(
                f"CREATE TABLE metrics.raw_{table} (LIKE metrics.{table} INCLUDING INDEXES)"
            )
        started = time.perf_counter()
        for kind, found in rows.items():
            for first in range(0, len(found), BATCH):
                await connection.copy_records_to_table(
                    f"raw_{TABLES[kind]}",
                    schema_name="metrics",
                    columns=COLUMNS[kind],
                    records=found[first : first + BATCH],
                )
        seconds = time.perf_counter() - started
        for kind in rows:
            await connection.execute(f"DROP TABLE metrics.raw_{TABLES[kind]}")
        return seconds
    finally:
        await connection.close()


async def measure(batches: int, rounds: int) -> dict[str, Any]:
    """Measure both sides ``rounds`` times in turn and return each round and the best of each side."""
    harness.progress(f"preparing {batches * BATCH:,} events")
    bodies = _bodies(batches)
    rows = _rows(bodies)
    events = batches * BATCH
    results: list[dict[str, float]] = []
    async with harness.service() as service:
        await harness.send_all(service.port, _requests(_bodies(4)), in_flight=IN_FLIGHT)
        for number in range(rounds):
            copied = events / await _raw_copy(service.database_url, rows)
            fresh = random.Random(1_000 + number)
            again = [
                body.replace(body[14:50], f"{fresh.getrandbits(128):032x}".encode(), 1)
                for body in bodies
            ]
            cpu = service.process.cpu_times()
            started = time.perf_counter()
            await harness.send_all(service.port, _requests(again), in_flight=IN_FLIGHT)
            seconds = time.perf_counter() - started
            spent = service.process.cpu_times()
            busy = spent.user + spent.system - cpu.user - cpu.system
            results.append(
                {
                    "copy_rows_per_second": round(copied),
                    "ingest_events_per_second": round(events / seconds),
                    "ratio": round(events / seconds / copied, 3),
                    "service_cpu_us_per_event": round(busy / events * 1e6, 2),
                    "service_cpu_share": round(busy / seconds, 2),
                }
            )
            harness.progress(f"round {number + 1}: {results[-1]}")
        stored = await _count(service.database_url)
        return {
            "benchmark": "ingest",
            "events_per_round": events,
            "batch": BATCH,
            "in_flight": IN_FLIGHT,
            "rounds": results,
            "median_ratio": sorted(r["ratio"] for r in results)[len(results) // 2],
            "stored": stored,
            "expected": events * rounds + 4 * BATCH,
            "peak_resident_mb": service.peak_mb(),
        }


async def _count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        counts = [
            await connection.fetchval(f"SELECT count(*) FROM metrics.{table}")
            for table in TABLES.values()
            if table != "probes"
        ]
        return sum(counts)
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=500, help="batches of 500 events a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    harness.report(asyncio.run(measure(options.batches, options.rounds)))


if __name__ == "__main__":
    main()
