"""How long after its 200 an event is in the answers, while the service is under load."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
import uuid
from typing import Any

from benchmarks import harness, workload

BATCH = 500


async def _load(port: int, rate: float, stop: asyncio.Event) -> int:
    """Send batches at ``rate`` events per second until told to stop; returns how many events were sent."""
    rng = random.Random(3)
    sent = 0
    started = time.perf_counter()
    async with harness.Connection(port) as connection:
        while not stop.is_set():
            now = workload.stamp(time.time())
            body = workload.batch(rng, iter([now] * BATCH))
            status, answer = await connection.send(
                harness.request("POST", "/api/metrics/events", body)
            )
            if status != 200:
                raise SystemExit(f"{status}: {answer.decode()}")
            sent += BATCH
            await asyncio.sleep(max(0.0, sent / rate - (time.perf_counter() - started)))
    return sent


async def _sample(connection: harness.Connection, number: int) -> float:
    """Return the milliseconds from the 200 of one event to the first answer that counts it."""
    operation = f"fresh_{number % 50}"
    event = {"type": "performance", "operation": operation, "duration_ms": 1.0}
    body = json.dumps({"batch_id": str(uuid.uuid4()), "events": [event]}).encode()
    path = f"/api/metrics/dashboard?time_window_minutes=5&operation={operation}"
    wanted = number // 50 + 1
    status, answer = await connection.send(harness.request("POST", "/api/metrics/events", body))
    if status != 200:
        raise SystemExit(f"{status}: {answer.decode()}")
    stored = time.perf_counter()
    while True:
        _, answer = await connection.send(harness.request("GET", path))
        taken = (time.perf_counter() - stored) * 1e3
        if json.loads(answer)["performance"]["all_operations"]["count"] >= wanted:
            return taken
        if taken > 10_000:
            raise SystemExit("an accepted event was not answered for 10 seconds")


async def measure(samples: int, rate: float) -> dict[str, Any]:
    """Send single events one after the other beside a load of ``rate`` events per second."""
    async with harness.service() as service:
        stop = asyncio.Event()
        load = asyncio.create_task(_load(service.port, rate, stop))
        async with harness.Connection(service.port) as connection:
            taken = [await _sample(connection, number) for number in range(samples)]
        stop.set()
        sent = await load
        return {
            "benchmark": "freshness",
            "samples": samples,
            "load_events_per_second": rate,
            "load_events": sent,
            "milliseconds_from_200_to_answer": harness.percentiles(taken),
            "peak_resident_mb": service.peak_mb(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=5_000, help="events per second beside it")
    options = parser.parse_args()
    harness.report(asyncio.run(measure(options.samples, options.rate)))


if __name__ == "__main__":
    main()
