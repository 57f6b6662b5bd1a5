"""Where the CPU of an ingested event goes: each step of the path by itself, without HTTP and PostgreSQL."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from benchmarks import harness, workload
from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.block import Block, add
from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import OwnPrices
from metrics_svc.domain.rollup import Live
from metrics_svc.domain.tally import Dimensions, tally
from metrics_svc.wire.batch import Limits, parse_batch

BATCH = 500
BATCHES = 20
_LIMITS = Limits(5_000, timedelta(days=7), timedelta(minutes=5))


class _Ids(dict[Dimensions, int]):
    """Gives each series an id when it is first seen, as the registry does."""

    def __missing__(self, series: Dimensions) -> int:
        return self.setdefault(series, len(self) + 1)


def _microseconds(step: Callable[[int], object], rounds: int) -> dict[str, float]:
    """Return median and range of the CPU time that an event takes in ``step``, which takes a batch's number."""
    taken: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        for number in range(BATCHES):
            step(number)
        taken.append((time.process_time() - started) / BATCHES / BATCH * 1e6)
    taken.sort()
    return {
        "median": round(taken[len(taken) // 2], 2),
        "least": round(taken[0], 2),
        "most": round(taken[-1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    rng = random.Random(1)
    now = datetime.now(UTC)
    stamp = workload.stamp(now.timestamp())
    bodies = [workload.batch(rng, iter([stamp] * BATCH)) for _ in range(BATCHES)]
    prices = PriceBook(GenaiCatalogue(), OwnPrices())
    events = [parse_batch(body, _LIMITS, received=now).events for body in bodies]
    parts = [tally(found, prices) for found in events]
    ids: dict[str, _Ids] = {}

    def totals(number: int) -> dict[str, Block]:
        return {
            part.kind.name: part.block(ids.setdefault(part.kind.name, _Ids()))
            for part in parts[number]
        }

    blocks = [totals(number) for number in range(BATCHES)]
    # Four batches share a transaction, about as many as in the ingest benchmark.
    groups = [
        {kind: add([blocks[n][kind] for n in range(start, start + 4)]) for kind in blocks[start]}
        for start in range(0, BATCHES, 4)
    ]
    live = Live()
    for _ in range(10):
        for group in groups:
            live, _rows = live.record(group)
    harness.report(
        {
            "benchmark": "steps",
            "microseconds_of_cpu_per_event": {
                "decode and check": _microseconds(
                    lambda n: parse_batch(bodies[n], _LIMITS, received=now), rounds
                ),
                "rows, series and prices": _microseconds(
                    lambda n: tally(events[n], prices), rounds
                ),
                "totals and histograms": _microseconds(totals, rounds),
                "rollup rows": _microseconds(
                    lambda n: live.record(groups[n // 4]) if n % 4 == 0 else None, rounds
                ),
            },
        }
    )


if __name__ == "__main__":
    main()
