"""Two hundred concurrent batch requests of ten gaps against one process of the reference workload.

The caches are warmed first; then a stated share of the gaps is new, each new one asked for by several
requests at once, so that the expected hit rate is known and a missing single-flight would show in the
provider's ledger as a second call for one key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import harness, targets
from tests.fixtures.servers import running_redis

PATH = "/api/adaptive-questions/batch-generate"
GAPS = 10
SKILLS = 60
PRIORITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
ASKED_BY = 3
BRIEF = {
    "parsed_cv": {"title": "Backend developer", "years": 6, "skills": ["Python", "Flask", "MySQL"]},
    "parsed_jd": {"title": "Platform engineer", "must_have": ["Kubernetes", "Go", "Terraform"]},
    "language": "english",
}
# One user, so that all requests have the same variants of every flag and equal gaps have equal keys.
HEADERS = "X-User-ID: load-1\r\nX-Session-ID: load-1\r\n"


def gap(number: int, kind: str) -> dict[str, str]:
    return {"skill": f"{kind} skill {number}", "priority": PRIORITIES[number % len(PRIORITIES)]}


def body(gaps: list[dict[str, str]]) -> bytes:
    data = json.dumps({"gaps": gaps, **BRIEF}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{HEADERS}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def batches(requests: int, new_share: float, seed: int) -> tuple[list[list[dict[str, str]]], int]:
    """Return the gaps of each request and how many keys among them are new."""
    rng = random.Random(seed)
    wanted = round(requests * GAPS * new_share)
    new = [gap(number // ASKED_BY, "new") for number in range(wanted)]
    weights = [1 / (rank + 1) for rank in range(SKILLS)]
    known = rng.choices(range(SKILLS), weights, k=requests * GAPS - wanted)
    gaps = new + [gap(number, "known") for number in known]
    rng.shuffle(gaps)
    cut = [gaps[start : start + GAPS] for start in range(0, len(gaps), GAPS)]
    return cut, -(-wanted // ASKED_BY)


async def send(port: int, data: bytes) -> tuple[float, int, dict[str, Any]]:
    started = time.perf_counter()
    async with harness.Connection(port) as connection:
        status, answer = await connection.send(data)
    return time.perf_counter() - started, status, json.loads(answer)


async def warm(port: int) -> None:
    for start in range(0, SKILLS, GAPS):
        gaps = [gap(number, "known") for number in range(start, start + GAPS)]
        _, status, answer = await send(port, body(gaps))
        if status != 200 or answer["summary"]["failed"]:
            raise SystemExit(f"warming up failed with {status}: {answer}")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the burst once and count what came back, and what the provider saw."""
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis_url:
        async with (
            harness.service() as metrics,
            targets.target(
                workload={
                    "QUESTIONS_REDIS_URL": redis_url,
                    "WINDSOCK_ENDPOINT": f"http://127.0.0.1:{metrics.port}",
                },
                simulator={"SIMULATOR_SEED": str(options.seed)},
            ) as target,
        ):
            harness.progress("warming the caches")
            await warm(target.workload.port)
            before = await target.simulator.get("/ledger")
            cut, new_keys = batches(options.requests, options.new_share, options.seed)
            harness.progress(f"{options.requests} requests at once, {new_keys} new keys")
            cpu, started = target.workload.cpu_seconds(), time.perf_counter()
            answers = await asyncio.gather(*(send(target.workload.port, body(g)) for g in cut))
            seconds = time.perf_counter() - started
            cpu = target.workload.cpu_seconds() - cpu
            ledger = await target.simulator.get("/ledger")
            return summary(options, new_keys, answers, before, ledger) | {
                "seconds": round(seconds, 2),
                "workload_cpu_seconds": round(cpu, 2),
                "workload_resident_mb": target.workload.resident_mb(),
            }


def summary(
    options: argparse.Namespace,
    new_keys: int,
    answers: list[tuple[float, int, dict[str, Any]]],
    before: dict[str, Any],
    ledger: dict[str, Any],
) -> dict[str, Any]:
    served: Counter[str] = Counter()
    failed = 0
    for _, status, answer in answers:
        if status == 200:
            served.update(answer["summary"]["served"])
            failed += answer["summary"]["failed"]
    total = sum(served.values())
    hits = served["l1"] + served["l2"]
    return {
        "benchmark": "warm_batches",
        "requests": options.requests,
        "gaps_per_request": GAPS,
        "statuses": dict(Counter(status for _, status, _ in answers)),
        "failed_gaps": failed,
        "served": dict(served),
        "expected_hit_rate": 1 - options.new_share,
        "hit_rate": round(hits / total, 4) if total else None,
        "new_keys": new_keys,
        "made_new": served["new"],
        "provider_calls": ledger["calls"] - before["calls"],
        "duplicate_provider_calls": ledger["duplicate_calls"],
        "provider_errors": ledger["errors"],
        "seconds_per_request": harness.percentiles([taken for taken, _, _ in answers]),
        "simulator": ledger["parameters"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument(
        "--new-share", type=float, default=0.1, help="share of gaps nobody asked for yet"
    )
    parser.add_argument("--seed", type=int, default=1)
    harness.report(asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
