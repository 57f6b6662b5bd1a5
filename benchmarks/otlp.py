"""Durable spans per second through OTLP/HTTP in both encodings: exports of 512 model calls, as an SDK sends them."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks import harness
from metrics_svc.otlp.codec import Encoding
from tests.metrics_svc.unit.otlp_messages import as_otlp_json, span, trace_request

SPANS = 512
IN_FLIGHT = 4
_MODELS = ("gpt-4o", "gpt-4o-mini", "o3", "gpt-4.1", "gpt-4.1-mini")
_RESOURCE = {"service.name": "answers", "deployment.environment.name": "production"}


def _export(rng: random.Random) -> ExportTraceServiceRequest:
    """Make an export of calls that end now, each with the attributes that instrumentations set."""
    end = time.time_ns()
    spans = []
    for _ in range(SPANS):
        model = rng.choice(_MODELS)
        cached = rng.randrange(1_000)
        values: dict[str, object] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.response.id": f"chatcmpl-{rng.getrandbits(64):x}",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": cached + rng.randrange(2_000),
            "gen_ai.usage.output_tokens": rng.randrange(500),
            "gen_ai.usage.cache_read.input_tokens": cached,
            "server.address": "api.openai.com",
        }
        spans.append(
            span(
                values,
                name=f"chat {model}",
                trace_id=rng.randbytes(16),
                span_id=rng.randbytes(8),
                start_time_unix_nano=end - rng.randrange(5_000_000_000),
                end_time_unix_nano=end,
            )
        )
    return trace_request(spans, resource=_RESOURCE)


def _bodies(encoding: Encoding, exports: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    made = (_export(rng) for _ in range(exports))
    if encoding is Encoding.JSON:
        return [as_otlp_json(export) for export in made]
    return [export.SerializeToString() for export in made]


def _requests(bodies: list[bytes], encoding: Encoding) -> Iterator[bytes]:
    line = f"Content-Type: {encoding.value}\r\nContent-Length:".encode()
    for body in bodies:
        yield harness.request("POST", "/v1/traces", body).replace(b"Content-Length:", line, 1)


async def measure(exports: int, rounds: int) -> dict[str, Any]:
    """Measure both encodings ``rounds`` times and return each round."""
    results: list[dict[str, Any]] = []
    sent = 0
    async with harness.service() as service:
        for number in range(rounds):
            for encoding in Encoding:
                bodies = _bodies(encoding, exports, seed=2 * number + (encoding is Encoding.JSON))
                cpu = service.process.cpu_times()
                started = time.perf_counter()
                await harness.send_all(
                    service.port, _requests(bodies, encoding), in_flight=IN_FLIGHT
                )
                seconds = time.perf_counter() - started
                spent = service.process.cpu_times()
                busy = spent.user + spent.system - cpu.user - cpu.system
                spans = exports * SPANS
                sent += spans
                results.append(
                    {
                        "encoding": encoding.name.lower(),
                        "bytes_per_span": round(sum(map(len, bodies)) / spans),
                        "spans_per_second": round(spans / seconds),
                        "service_cpu_us_per_span": round(busy / spans * 1e6, 1),
                    }
                )
                harness.progress(f"round {number + 1}: {results[-1]}")
        connection = await asyncpg.connect(service.database_url)
        stored = await connection.fetchval("SELECT count(*) FROM metrics.llm_calls")
        await connection.close()
        return {
            "benchmark": "otlp",
            "spans_per_export": SPANS,
            "in_flight": IN_FLIGHT,
            "rounds": results,
            "stored": stored,
            "expected": sent,
            "peak_resident_mb": service.peak_mb(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exports", type=int, default=60, help="exports of 512 spans a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    harness.report(asyncio.run(measure(options.exports, options.rounds)))


if __name__ == "__main__":
    main()
