"""An application that knows OpenTelemetry alone: the environment says where its spans go."""

from __future__ import annotations

import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

CALL: dict[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.output_tokens": 100,
}
NANOSECONDS = 1_500_000_000


def main() -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("exporting")
    for _ in range(20):
        now = time.time_ns()
        span = tracer.start_span(
            "exported chat", kind=SpanKind.CLIENT, attributes=CALL, start_time=now - NANOSECONDS
        )
        span.end(now)
    provider.shutdown()


if __name__ == "__main__":
    main()
