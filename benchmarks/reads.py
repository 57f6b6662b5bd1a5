"""Latency of every read endpoint and window over a day of events, and what ten times the events cost."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import asyncpg

from benchmarks import harness, workload

BATCH = 500
DAY = 86_400
ENDPOINTS = ("dashboard", "performance", "costs", "quality", "cache", "health")
WINDOWS = (5, 15, 60, 360, 1440)


def _requests(events: int, now: float) -> Iterator[bytes]:
    """Yield batches whose events lie evenly over the 24 hours before ``now``, in order of time."""
    rng = random.Random(2)
    for first in range(0, events, BATCH):
        size = min(BATCH, events - first)
        moments = (now - DAY + DAY * (first + n + rng.random()) / events for n in range(size))
        body = workload.batch(rng, (workload.stamp(min(moment, now)) for moment in moments))
        yield harness.request("POST", "/api/metrics/events", body)


async def _load(service: harness.Service, events: int) -> float:
    started = time.perf_counter()
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for data in _requests(events, time.time()):
            sent += BATCH
            if sent % (events // 10 // BATCH * BATCH or BATCH) == 0:
                rate = sent / (time.perf_counter() - started)
                harness.progress(f"  {sent:,} of {events:,} events, {rate:,.0f}/s")
            yield data

    await harness.send_all(service.port, counted(), in_flight=8)
    return time.perf_counter() - started


async def _settle(url: str) -> None:
    """Let PostgreSQL do now what it would do by itself within a minute."""
    connection = await asyncpg.connect(url, timeout=60, command_timeout=600)
    await connection.execute("VACUUM (ANALYZE) metrics.rollups")
    await connection.close()


async def _measure(service: harness.Service, repeats: int) -> dict[str, dict[str, float]]:
    """Return milliseconds by endpoint and window; the requests of all cells are interleaved."""
    cells = [(endpoint, window) for endpoint in ENDPOINTS for window in WINDOWS]
    taken: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
    async with harness.Connection(service.port) as connection:
        for number in range(repeats + 3):
            for endpoint, window in cells:
                path = f"/api/metrics/{endpoint}?time_window_minutes={window}"
                started = time.perf_counter()
                status, body = await connection.send(harness.request("GET", path))
                if status != 200:
                    raise SystemExit(f"{path}: {status} {body.decode()}")
                if number >= 3:
                    taken[endpoint, window].append((time.perf_counter() - started) * 1e3)
    return {
        f"{endpoint} {window} min": harness.percentiles(taken[endpoint, window])
        for endpoint, window in cells
    }


async def measure(events: int, repeats: int) -> dict[str, Any]:
    """Load ``events`` over 24 hours into a fresh store and measure every endpoint and window."""
    harness.progress(f"loading {events:,} events")
    async with harness.service() as service:
        seconds = await _load(service, events)
        await _settle(service.database_url)
        harness.progress("reading")
        cells = await _measure(service, repeats)
        return {
            "events": events,
            "load_seconds": round(seconds, 1),
            "load_events_per_second": round(events / seconds),
            "milliseconds": cells,
            "worst_median_ms": max(cell["median"] for cell in cells.values()),
            "worst_p99_ms": max(cell["p99"] for cell in cells.values()),
            "mean_of_medians_ms": round(
                sum(cell["median"] for cell in cells.values()) / len(cells), 3
            ),
            "peak_resident_mb": service.peak_mb(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=1, help="also load so many times the events")
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    results = [asyncio.run(measure(options.events, options.repeats))]
    found: dict[str, Any] = {
        "benchmark": "reads",
        "series": "12 operations x 5 priorities x 5 models",
    }
    if options.times > 1:
        results.append(asyncio.run(measure(options.events * options.times, options.repeats)))
        first, second = (result["milliseconds"] for result in results)
        ratios = {cell: round(second[cell]["median"] / first[cell]["median"], 2) for cell in first}
        found["median_ratio_by_cell"] = ratios
        found["mean_ratio"] = round(
            results[1]["mean_of_medians_ms"] / results[0]["mean_of_medians_ms"], 3
        )
    harness.report({**found, "runs": results})


if __name__ == "__main__":
    main()
