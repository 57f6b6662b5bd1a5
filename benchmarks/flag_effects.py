"""What each flag of the reference workload changes: one value against the other, in time, money and quality.

The workload runs in this process, its provider is a simulator of its own at ``--time-scale``. For each flag, requests
are made one at a time, the same seeded gaps under either value by turns, everything else at its default and with no cache
but the provider's. Each has a candidate of its own, so that no prompt was seen before beyond its instructions.
``difference`` is the mean of the second value less the first, with the standard error of the paired differences.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from adaptive_questions.domain.gap import Asker, Brief, Gap, Priority
from adaptive_questions.domain.result import GapFailure
from adaptive_questions.workflow.config import Config
from adaptive_questions.workflow.service import WorkflowQuestions, open_questions
from benchmarks import harness, targets
from windsock.testing import Captured, capture, flags
from windsock_kit.errors import UnavailableError

GAPS = 10
SKILLS = (
    *("Kubernetes", "Docker", "Terraform", "AWS", "Linux", "PostgreSQL", "Redis", "MongoDB", "SQL"),
    *("Kafka", "Python", "Java", "Go", "Rust", "TypeScript", "React", "CSS", "GraphQL", "PyTorch"),
)
# The value that holds by default, and the other one.
FLAGS: Mapping[str, tuple[object, object]] = {
    "use_prompt_cache_optimizer": (True, False),
    "use_batch_generation": (True, False),
    "dynamic_quality_thresholds": (True, False),
    "parallel_rag_searches": (True, False),
    "experimental_llm_model": ("gemini-2.0-flash-exp", "gemini-2.0-flash-lite"),
    "experimental_embedding_model": ("text-embedding-004", "text-embedding-005"),
    "experimental_rag_threshold": (0.7, 0.6),
    "new_ui_dashboard": (False, True),
    "advanced_quality_evaluation": (False, True),
}
DEFAULTS = {key: values[0] for key, values in FLAGS.items()}


@dataclass(frozen=True, slots=True)
class Measured:
    """One request."""

    wall_ms: float
    cost_usd: float
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    score: float
    refinement_rate: float


@dataclass(frozen=True, slots=True)
class Bench:
    """The workload in this process, and the books of its provider."""

    questions: WorkflowQuestions
    captured: Captured
    provider: targets.Program

    async def measure(
        self, gaps: Sequence[Gap], candidate: str, given: Mapping[str, object]
    ) -> Measured:
        """Ask for ``gaps`` of ``candidate`` under ``given`` flags."""
        brief = Brief({"name": candidate, "skills": ["Bash"]}, {"title": "Engineer"})
        self.captured.clear()
        await self._books("DELETE")
        with flags({**DEFAULTS, **given}):
            started = time.perf_counter()
            results = await self.questions.generate(gaps, brief, Asker("user", "session"))
            wall_ms = (time.perf_counter() - started) * 1000
        failed = [each for each in results if isinstance(each, GapFailure)]
        if failed:
            sys.exit(f"{failed[0].code}: {failed[0].detail}")
        books = await self._books("GET")
        judged = [event for event in self.captured.of_type("quality") if "refined" in event]
        return Measured(
            wall_ms=wall_ms,
            cost_usd=books["cost_nanos"] / 1e9,
            input_tokens=books["input_tokens"],
            cached_input_tokens=books["cached_input_tokens"],
            output_tokens=books["output_tokens"],
            score=statistics.mean(event["score"] for event in judged),
            refinement_rate=statistics.mean(bool(event["refined"]) for event in judged),
        )

    async def _books(self, method: str) -> Any:
        async with harness.Connection(self.provider.port) as connection:
            status, body = await connection.send(harness.request(method, "/ledger"))
        if status != 200:
            sys.exit(f"/ledger answered {status}")
        return json.loads(body)


def _gaps(pair: str) -> list[Gap]:
    skills = random.Random(pair).sample(SKILLS, GAPS)
    priorities = list(Priority)
    return [Gap(skill, priorities[at % 4], pair) for at, skill in enumerate(skills)]


def compared(first: Sequence[Measured], second: Sequence[Measured]) -> dict[str, Any]:
    """Return the means of both, and the difference with its standard error."""
    result = {}
    for name in Measured.__slots__:
        one, two = ([float(getattr(each, name)) for each in arm] for arm in (first, second))
        differences = [after - before for before, after in zip(one, two, strict=True)]
        result[name] = {
            "first": _short(statistics.mean(one)),
            "second": _short(statistics.mean(two)),
            "difference": _short(statistics.mean(differences)),
            "standard_error": _short(statistics.stdev(differences) / len(differences) ** 0.5),
        }
    return result


def _short(value: float) -> float:
    return float(f"{value:.5g}")


async def run(keys: Sequence[str], requests: int, scale: float) -> dict[str, Any]:
    settings = {"SIMULATOR_TIME_SCALE": str(scale), "SIMULATOR_LOG_LEVEL": "warning"}
    found = {}
    async with targets.program("llm_simulator", "SIMULATOR", settings) as provider:
        config = Config(openai_base_url=f"http://127.0.0.1:{provider.port}/v1", l1_ttl_seconds=0.0)
        with capture() as captured:
            async with open_questions(config) as questions:
                await _ready(questions)
                bench = Bench(questions, captured, provider)
                await bench.measure(_gaps("first"), "first", {})
                for key in keys:
                    harness.progress(key)
                    found[key] = await _by_turns(bench, key, requests)
        return {"flags": found, "simulator": await provider.get("/parameters")}


async def _by_turns(bench: Bench, key: str, requests: int) -> dict[str, Any]:
    arms: tuple[list[Measured], list[Measured]] = ([], [])
    for turn in range(requests):
        pair = f"{key} {turn}"
        for arm in (0, 1) if turn % 2 else (1, 0):
            measured = await bench.measure(_gaps(pair), f"{pair} {arm}", {key: FLAGS[key][arm]})
            arms[arm].append(measured)
    first, second = FLAGS[key]
    return {"first": first, "second": second, **compared(*arms)}


async def _ready(questions: WorkflowQuestions) -> None:
    for _ in range(600):
        try:
            return await questions.ready()
        except UnavailableError:
            await asyncio.sleep(0.1)
    sys.exit("the knowledge base was not indexed within a minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=30, help="under each value of a flag")
    parser.add_argument(
        "--time-scale", type=float, default=0.2, help="of the simulator's latencies"
    )
    parser.add_argument("--flag", choices=FLAGS, action="append", help="this one only; repeatable")
    arguments = parser.parse_args()
    if arguments.requests < 2 or not arguments.time_scale > 0:
        parser.error("there must be two requests at least, and a time scale above 0")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    keys = arguments.flag or list(FLAGS)
    found = asyncio.run(run(keys, arguments.requests, arguments.time_scale))
    harness.report(
        {
            "benchmark": "flag_effects",
            "requests": arguments.requests,
            "gaps_per_request": GAPS,
            "time_scale": arguments.time_scale,
            **found,
        }
    )


if __name__ == "__main__":
    main()
