"""What instrumenting a workflow costs: the same nodes with the SDK and without, taking turns.

Two measurements. ``null``: eleven async nodes whose model is a function that returns at once, recording what the
reference workload records (a node each; 4 model calls, 6 cache look-ups, 2 judgements). ``workflow``: the reference workload
against the simulated provider at its default latencies, once as it is and once with every call of the SDK taken out, in two
processes that take turns with equal requests; each has a provider of its own with the same seed, so that equal requests have
equal latencies. Events are encoded and compressed as ever, and then thrown away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import windsock
import windsock.integrations.openai
from benchmarks import harness, targets
from windsock.encoding import Batch
from windsock.pipeline import SendingPipeline
from windsock.transport import Delivered, Outcome

RUNS_PER_ROUND = 100
NODES = (
    "start",
    "parse_gap",
    "embed_gap",
    "search_similar_questions",
    "search_learning_resources_node_async",
    "generate_deep_dive_prompts_node_async",
    "generate_question",
    "evaluate_quality_node_async",
    "refine_answer_node_async",
    "finalize",
    "batch_generate",
)
CALLS = {
    "generate_deep_dive_prompts_node_async",
    "generate_question",
    "evaluate_quality_node_async",
    "refine_answer_node_async",
}
LOOKUPS = {
    "embed_gap": 2,
    "batch_generate": 2,
    "search_similar_questions": 1,
    "search_learning_resources_node_async": 1,
}
JUDGED = {"evaluate_quality_node_async", "refine_answer_node_async"}
STATE = {"gap_priority": "HIGH", "user_id": "user-1", "session_id": "session-1"}
BRIEF: dict[str, dict[str, object]] = {
    "parsed_cv": {"skills": ["Docker"]},
    "parsed_jd": {"title": "Platform engineer"},
}

State = dict[str, str]
Node = Callable[[State], Awaitable[State]]


class NullTransport:
    """Takes a batch, encoded and compressed, and answers at once."""

    def send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        del batch, timeout_seconds
        return Delivered()

    def close(self) -> None:
        return

    forget_after_fork = close


def discarding() -> SendingPipeline:
    """Make the SDK of this process do everything but the request."""
    settings = windsock.Settings(max_buffer_events=100_000)
    pipeline = SendingPipeline(settings, NullTransport())
    windsock.get_metrics_collector().install(pipeline)
    return pipeline


def bare_node() -> Node:
    async def node(state: State) -> State:
        return state

    return node


def instrumented_node(name: str) -> Node:
    collector = windsock.get_metrics_collector()
    lookups, calls, judged = LOOKUPS.get(name, 0), name in CALLS, name in JUDGED

    @windsock.track_node(name)
    async def node(state: State) -> State:
        for _ in range(lookups):
            collector.record_cache_event(name, layer="l1", hit=True, saved_ms=12.5)
        if calls:
            collector.record_llm_cost(
                name, 1800, 90, True, model="gemini-2.0-flash-exp", cached_input_tokens=1536
            )
        if judged:
            collector.record_quality(name, 7.5, refined=False, accepted_first_pass=True)
        return state

    return node


async def run_nodes(nodes: list[Node], runs: int) -> float:
    """Return the microseconds of one node."""
    started = time.perf_counter()
    for _ in range(runs):
        for node in nodes:
            await node(STATE)
    return (time.perf_counter() - started) / (runs * len(nodes)) * 1e6


async def null_nodes(rounds: int) -> dict[str, Any]:
    pipeline = discarding()
    bare = [bare_node() for _ in NODES]
    instrumented = [instrumented_node(name) for name in NODES]
    taken: dict[str, list[float]] = {"without": [], "with": []}
    ways = {"without": bare, "with": instrumented}
    for number in range(rounds):
        order = ["without", "with"] if number % 2 else ["with", "without"]
        for name in order:
            taken[name].append(await run_nodes(ways[name], RUNS_PER_ROUND))
            await asyncio.to_thread(pipeline.flush, 60)
    dropped = pipeline.stats().dropped_total
    await asyncio.to_thread(pipeline.close, 5)
    pairs = zip(taken["with"], taken["without"], strict=True)
    events = len(NODES) + len(CALLS) + sum(LOOKUPS.values()) + len(JUDGED)
    return {
        "rounds": rounds,
        "nodes_per_run": len(NODES),
        "events_per_run": events,
        "microseconds_per_node_without": summary(taken["without"]),
        "microseconds_per_node_with": summary(taken["with"]),
        "microseconds_added_per_node": summary([one - other for one, other in pairs]),
        "dropped": dropped,
    }


def summary(values: list[float]) -> dict[str, float]:
    """Return the median and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "p25": round(low, 3), "p75": round(high, 3)}


def take_out_the_sdk() -> None:
    """Make every call of the SDK do nothing, before the workload is imported."""

    class Nothing:
        def __init__(self, *_: object, **__: object) -> None:
            return

        def __enter__(self) -> Nothing:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: None

    def as_it_is(name: Any = None) -> Any:
        return name if callable(name) else lambda function: function

    nothing: Any = Nothing
    package: Any = windsock
    package.track_node = as_it_is
    package.track_performance = package.context = package.get_metrics_collector = nothing
    openai: Any = windsock.integrations.openai
    openai.instrument_openai = lambda client, **_: client


async def work(options: argparse.Namespace) -> None:
    """Answer each line of standard input, the names of skills, with the seconds that each took."""
    # Logs go where they disturb nobody.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if options.worker == "without":
        take_out_the_sdk()
    # After that, so that the workload gets what was left.
    from adaptive_questions.domain.gap import Asker, Brief, Gap, Priority  # noqa: PLC0415
    from adaptive_questions.workflow.config import Config  # noqa: PLC0415
    from adaptive_questions.workflow.service import open_questions  # noqa: PLC0415

    discarding()
    brief = Brief(BRIEF["parsed_cv"], BRIEF["parsed_jd"])
    asker = Asker("user-1", "session-1")

    async def one(questions: Any, skill: str) -> float:
        started = time.perf_counter()
        [result] = await questions.generate([Gap(skill, Priority.HIGH)], brief, asker)
        if type(result).__name__ != "GapAnswer":
            raise SystemExit(f"no answer: {result}")
        return time.perf_counter() - started

    async with open_questions(Config(openai_base_url=options.url)) as questions:
        while True:
            try:
                await questions.ready()
                break
            except Exception:  # noqa: BLE001  whatever it is not ready for
                await asyncio.sleep(0.1)
        print("ready", file=answers, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            before = time.process_time()
            seconds = await asyncio.gather(*(one(questions, skill) for skill in json.loads(line)))
            cpu = time.process_time() - before
            print(json.dumps({"seconds": seconds, "cpu": cpu}), file=answers, flush=True)


class Worker:
    """One of the two processes."""

    def __init__(self, kind: str, port: int) -> None:
        command = [sys.executable, "-m", "benchmarks.instrumentation", "--worker", kind]
        command += ["--url", f"http://127.0.0.1:{port}/v1"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)

    async def ready(self) -> None:
        await self._line()

    async def run(self, skills: list[str]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(skills) + "\n")
        self._process.stdin.flush()
        answer = json.loads(await self._line())
        self.seconds += answer["seconds"]
        self.cpu.append(answer["cpu"] / len(skills) * 1e3)

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if not line:
            raise SystemExit("a worker ended; its last words are above")
        return line


async def workflow(rounds: int, at_once: int, seed: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        workers = {}
        parameters: Any = None
        settings = {"SIMULATOR_SEED": str(seed), "SIMULATOR_LOG_LEVEL": "warning"}
        for kind in ("without", "with"):
            provider = await stack.enter_async_context(
                targets.program("llm_simulator", "SIMULATOR", settings)
            )
            workers[kind] = Worker(kind, provider.port)
            stack.callback(workers[kind].close)
            parameters = (await provider.get("/ledger"))["parameters"]
        for worker in workers.values():
            await worker.ready()
        for number in range(rounds):
            harness.progress(f"round {number + 1} of {rounds}")
            skills = [f"skill {number}.{index}" for index in range(at_once)]
            order = ["without", "with"] if number % 2 else ["with", "without"]
            for kind in order:
                await workers[kind].run(skills)
    taken = {kind: worker.seconds for kind, worker in workers.items()}
    pairs = list(zip(taken["with"], taken["without"], strict=True))
    wall = [1e3 * (one - other) for one, other in pairs]
    cpu = [
        one - other for one, other in zip(workers["with"].cpu, workers["without"].cpu, strict=True)
    ]
    without = statistics.mean(taken["without"])
    return {
        "runs": len(pairs),
        "at_once": at_once,
        "seconds_without": summary(taken["without"]),
        "seconds_with": summary(taken["with"]),
        "milliseconds_added": summary(wall),
        "percent_of_wall_time_added": round(statistics.median(wall) / without / 10, 3),
        "cpu_milliseconds_without": summary(workers["without"].cpu),
        "cpu_milliseconds_with": summary(workers["with"].cpu),
        "cpu_milliseconds_added": summary(cpu),
        "cpu_percent_of_wall_time_added": round(statistics.median(cpu) / without / 10, 3),
        "simulator": parameters,
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    null = await null_nodes(options.rounds)
    real = await workflow(options.workflow_rounds, options.at_once, options.seed)
    return {"benchmark": "instrumentation", "null": null, "workflow": real}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=400, help="of the null nodes")
    parser.add_argument("--workflow-rounds", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4, help="workflows side by side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", choices=["with", "without"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        asyncio.run(work(options))
    else:
        harness.report(asyncio.run(measure(options)))


if __name__ == "__main__":
    main()
