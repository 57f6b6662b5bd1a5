"""What one measurement costs the caller: windsock beside prometheus_client and OpenTelemetry.

``workflow`` is what it adds to a workflow whose nodes do nothing else, with and without in turn.

Run ``python -m benchmarks.sdk_overhead`` from the repository's root; it prints JSON. All ways
take turns in each round, in an order that moves on, so that a change of the machine's speed hits
them alike. ``median_ns`` is the median over rounds of a round's mean cost, loop included.
``single_*`` times each use alone, which adds the clock's own cost (``clock_ns``).
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, Counter, Histogram

import windsock
from windsock.encoding import Batch
from windsock.pipeline import SendingPipeline
from windsock.transport import Delivered, Outcome

PER_ROUND = 1_000
BACKLOG = 20_000
SLEEP_NS = 200_000
AMBIENT = {"user_id": "user-1", "session_id": "session-1", "gap_priority": "high"}
METADATA = {"model": "gpt-4o", "chunks": 3}
# The nodes of the reference workload, and how many model calls, judgements and look-ups of a
# cache each of them records.
WORKFLOW = {
    "start": (0, 0, 0),
    "parse_gap": (0, 0, 0),
    "batch_generate": (0, 0, 2),
    "embed_gap": (1, 0, 2),
    "search_similar_questions": (0, 0, 0),
    "search_learning_resources_node_async": (0, 0, 0),
    "generate_deep_dive_prompts_node_async": (1, 0, 1),
    "generate_question": (1, 0, 1),
    "evaluate_quality_node_async": (0, 2, 0),
    "refine_answer_node_async": (1, 0, 0),
    "finalize": (0, 0, 0),
}
WORKFLOWS_PER_ROUND = 50
Node = Callable[[object], Coroutine[None, None, None]]


class NullTransport:
    """Takes a batch, encoded and compressed, and answers at once."""

    def send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        del batch, timeout_seconds
        return Delivered()

    def close(self) -> None:
        return

    forget_after_fork = close


class NullExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


def nothing(count: int) -> None:
    for _ in range(count):
        pass


def tracked(count: int) -> None:
    track_performance = windsock.track_performance
    for _ in range(count):
        with track_performance("retrieve"):
            pass


def tracked_in_context(count: int) -> None:
    with windsock.context(**AMBIENT):
        tracked(count)


def tracked_with_metadata(count: int) -> None:
    track_performance = windsock.track_performance
    for _ in range(count):
        with track_performance("retrieve", metadata=METADATA):
            pass


def in_context(count: int) -> None:
    for _ in range(count):
        with windsock.context(**AMBIENT):
            pass


def node(count: int) -> None:
    tracked_node = windsock.track_node("retrieve")(no_work)
    for _ in range(count):
        tracked_node(AMBIENT)


def no_work(state: object) -> None:
    del state


def llm_call(count: int) -> None:
    record = windsock.get_metrics_collector().record_llm_cost
    for _ in range(count):
        record(
            "answer",
            1200,
            300,
            cached_input_tokens=1024,
            duration_ms=812.5,
            model="gpt-4o",
            provider="openai",
        )


def quality(count: int) -> None:
    record = windsock.get_metrics_collector().record_quality
    for _ in range(count):
        record("evaluate", 7.5, refined=False, accepted_first_pass=True, evaluator="judge")


def cache(count: int) -> None:
    record = windsock.get_metrics_collector().record_cache_event
    for _ in range(count):
        record("retrieve", "l2", hit=False, miss_reason="cold")


def bare_workflow() -> list[Node]:
    def made() -> Node:
        async def run(state: object) -> None:
            del state

        return run

    return [made() for _ in WORKFLOW]


def tracked_workflow() -> list[Node]:
    collector = windsock.get_metrics_collector()

    def made(name: str, calls: int, scores: int, look_ups: int) -> Node:
        @windsock.track_node(name)
        async def run(state: object) -> None:
            del state
            for _ in range(calls):
                collector.record_llm_cost(
                    name, 1200, 300, duration_ms=812.5, model="gpt-4o", provider="openai"
                )
            for _ in range(scores):
                collector.record_quality(name, 7.5, refined=False, accepted_first_pass=True)
            for _ in range(look_ups):
                collector.record_cache_event(name, "l2", hit=False, miss_reason="cold")

        return run

    return [made(name, *calls) for name, calls in WORKFLOW.items()]


async def compare_workflows(settle: Callable[[], None], rounds: int) -> dict[str, float]:
    """Return what instrumentation adds to one node of a workflow, all that it records included."""
    ways = {True: tracked_workflow(), False: bare_workflow()}
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for tracked in (True, False) if number % 2 else (False, True):
            nodes = ways[tracked]
            started = perf_counter_ns()
            for _ in range(WORKFLOWS_PER_ROUND):
                for each in nodes:
                    await each(AMBIENT)
            elapsed = perf_counter_ns() - started
            taken[tracked].append(elapsed / (WORKFLOWS_PER_ROUND * len(nodes)))
            settle()
    added = [with_it - without for with_it, without in zip(taken[True], taken[False], strict=True)]
    return {
        "node_without_median_ns": round(statistics.median(taken[False]), 1),
        "node_with_median_ns": round(statistics.median(taken[True]), 1),
        "added_to_a_node_median_ns": round(statistics.median(added), 1),
    }


def prometheus() -> Callable[[int], None]:
    registry = CollectorRegistry()
    labels = ["operation", "status"]
    seconds = Histogram("operation_seconds", "Duration", labels, registry=registry)
    total = Counter("operations", "Count", labels, registry=registry)

    def use(count: int) -> None:
        for _ in range(count):
            started = perf_counter_ns()
            seconds.labels("retrieve", "ok").observe((perf_counter_ns() - started) / 1e9)
            total.labels("retrieve", "ok").inc()

    return use


def opentelemetry(stack: ExitStack) -> tuple[Callable[[int], None], Callable[[], object]]:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(
        NullExporter(), max_queue_size=100_000, export_timeout_millis=1e6
    )
    provider.add_span_processor(processor)
    stack.callback(provider.shutdown)
    start = provider.get_tracer("benchmark").start_as_current_span

    def use(count: int) -> None:
        for _ in range(count):
            with start("retrieve"):
                pass

    return use, processor.force_flush


def singles(use: Callable[[int], None], count: int) -> list[int]:
    taken = []
    for _ in range(count):
        started = perf_counter_ns()
        use(1)
        taken.append(perf_counter_ns() - started)
    return taken


def single_blocks(count: int) -> list[int]:
    track_performance = windsock.track_performance
    taken = []
    for _ in range(count):
        started = perf_counter_ns()
        with track_performance("retrieve"):
            pass
        taken.append(perf_counter_ns() - started)
    return taken


def summary(means: list[float], single: list[int]) -> dict[str, float]:
    return {
        "median_ns": round(statistics.median(means), 1),
        "best_ns": round(min(means), 1),
        "single_median_ns": statistics.median(single),
        "single_p99_ns": statistics.quantiles(single, n=100)[98],
    }


def compare(
    ways: dict[str, Callable[[int], None]], settle: Callable[[], None], rounds: int
) -> dict[str, dict[str, float]]:
    means: dict[str, list[float]] = {name: [] for name in ways}
    single: dict[str, list[int]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = perf_counter_ns()
            ways[name](PER_ROUND)
            means[name].append((perf_counter_ns() - started) / PER_ROUND)
            settle()
            single[name] += singles(ways[name], PER_ROUND // 10)
            settle()
    return {name: summary(means[name], single[name]) for name in names}


def while_sending(pipeline: SendingPipeline, rounds: int) -> dict[str, float]:
    """Time single blocks, and how late a sleeping caller wakes, with the sender idle and busy."""
    block: dict[str, list[int]] = {"idle": [], "busy": []}
    late: dict[str, list[int]] = {"idle": [], "busy": []}
    rate: list[float] = []
    for _ in range(rounds):
        pipeline.flush(60)
        for _ in range(PER_ROUND // 10):
            wake_and_track(late["idle"], block["idle"])
        tracked(BACKLOG)
        started, before = time.perf_counter(), len(pipeline.buffer.events)
        while (left := len(pipeline.buffer.events)) > BACKLOG // 10:
            wake_and_track(late["busy"], block["busy"])
        rate.append((before - left) / (time.perf_counter() - started))
    result = {"sender_events_per_second": round(statistics.median(rate), 1)}
    for name in ("idle", "busy"):
        result[f"{name}_block_median_ns"] = statistics.median(block[name])
        result[f"{name}_block_p99_ns"] = statistics.quantiles(block[name], n=100)[98]
        result[f"{name}_wake_late_median_ns"] = statistics.median(late[name])
        result[f"{name}_wake_late_p99_ns"] = statistics.quantiles(late[name], n=100)[98]
    return result


def wake_and_track(late: list[int], block: list[int]) -> None:
    asked = perf_counter_ns()
    time.sleep(SLEEP_NS / 1e9)
    woken = perf_counter_ns()
    late.append(woken - asked - SLEEP_NS)
    block += single_blocks(1)


def processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> dict[str, object]:
    return {
        "cpu": processor_name(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_1m": os.getloadavg()[0],
        "prometheus_client": version("prometheus-client"),
        "opentelemetry_sdk": version("opentelemetry-sdk"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds

    settings = windsock.Settings(
        max_buffer_events=100_000, max_batch_events=5_000, flush_interval_seconds=60.0
    )
    pipeline = SendingPipeline(settings, NullTransport())
    windsock.get_metrics_collector().install(pipeline)
    with ExitStack() as stack:
        stack.callback(pipeline.close, 5)
        span, flush_spans = opentelemetry(stack)

        def settle() -> None:
            pipeline.flush(60)
            flush_spans()

        ways = {
            "nothing": nothing,
            "windsock": tracked,
            "windsock_in_context": tracked_in_context,
            "windsock_with_metadata": tracked_with_metadata,
            "windsock_context": in_context,
            "windsock_node": node,
            "windsock_llm_call": llm_call,
            "windsock_quality": quality,
            "windsock_cache": cache,
            "prometheus_client": prometheus(),
            "opentelemetry_span": span,
        }
        compare(ways, settle, 5)
        ns_per_use = compare(ways, settle, rounds)
        added = asyncio.run(compare_workflows(settle, rounds))
        sending = while_sending(pipeline, max(rounds // 10, 1))
        dropped = pipeline.stats().dropped_total

    ours = ns_per_use["windsock"]["median_ns"]
    result = {
        "benchmark": "sdk_overhead",
        "machine": machine(),
        "rounds": rounds,
        "uses_per_round": PER_ROUND,
        "clock_ns": statistics.median(singles(lambda _: None, 10_000)),
        "ns_per_use": ns_per_use,
        "workflow": added,
        "while_sending": sending,
        "dropped": dropped,
        "targets": {
            "at_most_2_us": ours <= 2_000,
            "node_of_a_workflow_under_3_us": added["added_to_a_node_median_ns"] < 3_000,
            "less_than_prometheus_client": ours < ns_per_use["prometheus_client"]["median_ns"],
            "less_than_a_tenth_of_a_span": ours * 10
            < ns_per_use["opentelemetry_span"]["median_ns"],
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
