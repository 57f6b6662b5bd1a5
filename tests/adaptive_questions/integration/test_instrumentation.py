from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
import pytest_asyncio
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from redis.asyncio import Redis
from starlette.responses import Response

import windsock
from adaptive_questions.domain.gap import Gap, Priority
from adaptive_questions.workflow.judgement import EVALUATION, REFINEMENT
from adaptive_questions.workflow.question_run import QUESTION_RUN
from adaptive_questions.workflow.request import REQUEST
from tests.adaptive_questions.core_fixtures import (
    ASKER,
    FLAGS,
    KUBERNETES,
    Call,
    Workload,
    refusal,
    refusing,
    workload,
)
from windsock.testing import capture

Graph = CompiledStateGraph[Any, Any, Any, Any]
Event = Mapping[str, Any]
GRAPHS: list[Graph] = [REQUEST, QUESTION_RUN, REFINEMENT, EVALUATION]
BATCH = [
    Gap("Kubernetes", Priority.CRITICAL),
    Gap("Redis", Priority.LOW, "a cache only"),
    Gap("Kafka", Priority.CRITICAL),
    Gap("React", Priority.MEDIUM),
    Gap("Rust", Priority.HIGH),
    Gap("SQL", Priority.CRITICAL),
]


class NodeRuns(BaseCallbackHandler):
    """Counts how often LangGraph runs each node."""

    run_inline = True

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def on_chain_start(
        self,
        serialized: object,
        inputs: object,
        *,
        name: str = "",
        metadata: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if metadata is not None and metadata.get("langgraph_node") == name:
            self.counted[name] += 1


_counting: ContextVar[BaseCallbackHandler | None] = ContextVar("node_runs", default=None)
register_configure_hook(_counting, inheritable=True)


@contextmanager
def node_runs() -> Iterator[NodeRuns]:
    """Count the runs of nodes in the block."""
    runs = NodeRuns()
    token = _counting.set(runs)
    try:
        yield runs
    finally:
        _counting.reset(token)


def assert_nodes_recorded(graphs: Iterable[Graph], ran: NodeRuns, events: Iterable[Event]) -> None:
    """Fail unless each node of ``graphs`` ran, and each time it did there is an event."""
    nodes = {name for graph in graphs for name in graph.builder.nodes}
    recorded = Counter(e["operation"] for e in events if e["type"] == "performance")

    assert nodes <= set(ran.counted), f"never ran: {nodes - set(ran.counted)}"
    assert {name: recorded[name] for name in nodes} == dict(ran.counted)


@dataclass(frozen=True, slots=True)
class Used:
    """What was recorded while all that the workload offers was used, and what others counted."""

    events: Sequence[Event]
    ran: NodeRuns
    chats: Sequence[Call]
    ledger: Mapping[str, Any]
    look_ups: Mapping[str, int]

    def of_type(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]


@pytest_asyncio.fixture(scope="module")
async def it(redis_url: str) -> AsyncGenerator[Workload]:
    """Give a workload with everything it can have, all of it left to flags."""
    client = Redis.from_url(redis_url)
    await client.flushdb()
    await client.aclose()
    given = {"experimental_embedding_model": "text-embedding-004"}
    async with workload(given, redis_url=redis_url) as it:
        yield it


@pytest_asyncio.fixture(scope="module")
async def used(it: Workload) -> Used:
    await it.begin()
    before = it.questions.cache_stats()
    with node_runs() as ran:
        await it.answers(*BATCH)
        await it.answers(*BATCH)
        async for _ in it.questions.stream(Gap("Scala", Priority.LOW), it.brief, ASKER):
            pass
        # Written so badly that it must be refined.
        await it.simulator.faults(quality_drop=1.0)
        await it.answers(Gap("Ansible", Priority.CRITICAL))
        await it.simulator.faults()
        await it.questions.refine(KUBERNETES, "What is it?", "Too flat.", it.brief, ASKER)
        await it.questions.evaluate(KUBERNETES, "What is it?", "A cluster.", it.brief, ASKER)
    after = it.questions.cache_stats()
    return Used(
        events=list(it.captured.events),
        ran=ran,
        chats=[call for call in it.simulator.gate.calls if call.task],
        ledger=await it.simulator.ledger(),
        look_ups={
            name: sum(getattr(after[cache], name) - getattr(before[cache], name) for cache in after)
            for name in ("l1_hits", "l1_misses", "l2_hits", "l2_misses")
        },
    )


def test_every_node_of_every_graph_is_recorded_each_time_it_runs(used: Used) -> None:
    assert_nodes_recorded(GRAPHS, used.ran, used.events)


async def test_a_node_that_is_not_instrumented_does_not_pass() -> None:
    class Nothing(TypedDict, total=False):
        gap_priority: str

    @windsock.track_node("instrumented")
    async def instrumented(state: Nothing) -> Nothing:
        return {}

    async def bare(state: Nothing) -> Nothing:
        return {}

    building = StateGraph(Nothing)
    building.add_node("instrumented", instrumented)
    building.add_node("bare", bare)
    building.add_edge(START, "instrumented")
    building.add_edge("instrumented", "bare")
    building.add_edge("bare", END)
    graph: Graph = building.compile()

    with capture() as captured, node_runs() as ran:
        await graph.ainvoke({"gap_priority": "LOW"})

    with pytest.raises(AssertionError, match="bare"):
        assert_nodes_recorded([graph], ran, captured.events)


def test_every_model_call_is_on_our_books_as_on_the_providers(used: Used) -> None:
    calls = used.of_type("llm_call")

    counted: dict[str, Counter[str]] = {}
    for call in calls:
        book = counted.setdefault(call["model"], Counter())
        book["calls"] += 1
        for name in ("input_tokens", "cached_input_tokens", "output_tokens"):
            book[name] += call.get(name, 0)
    assert len(calls) == used.ledger["calls"]
    assert used.ledger["duplicate_calls"] == 0
    assert {model: dict(book) for model, book in counted.items()} == {
        entry["model"]: {
            name: entry[name]
            for name in ("calls", "input_tokens", "cached_input_tokens", "output_tokens")
        }
        for entry in used.ledger["models"]
    }
    assert {call["provider"] for call in calls} == {"google"}
    assert {call["operation"] for call in calls} <= set(QUESTION_RUN.builder.nodes)


def test_every_evaluation_is_a_quality_event(used: Used) -> None:
    judged = [
        item
        for call in used.chats
        if call.task["task"] == "evaluate_questions"
        for item in call.task["items"]
    ]

    events = used.of_type("quality")
    assert len(events) == len(judged)
    assert Counter(e["gap_priority"] for e in events) == Counter(i["priority"] for i in judged)
    by_stage = Counter(event["evaluator"].partition(":")[0] for event in events)
    refined = [event for event in events if event.get("refined")]
    assert by_stage["first_pass"] == len(BATCH) + 2
    assert by_stage["on_request"] == 2
    assert by_stage["after_refinement"] == len(refined) > 0
    for event in events:
        if event["evaluator"].startswith("first_pass"):
            assert event["refined"] is not event["accepted_first_pass"]
        else:
            assert "refined" not in event
            assert "accepted_first_pass" not in event


def test_every_look_up_is_a_cache_event(used: Used) -> None:
    events = used.of_type("cache")

    told = Counter((event["layer"], event["hit"]) for event in events)
    assert {
        "l1_hits": told["l1", True],
        "l1_misses": told["l1", False],
        "l2_hits": told["l2", True],
        "l2_misses": told["l2", False],
    } == used.look_ups
    assert used.look_ups["l1_hits"] >= len(BATCH)
    assert used.look_ups["l2_misses"] > 0
    assert told["prompt", True] + told["prompt", False] == len(used.chats)
    of_questions = [e for e in events if e["operation"] == "batch_generate" and e["layer"] == "l1"]
    asked = [gap.priority for gap in [*BATCH, *BATCH]] + [Priority.LOW, Priority.CRITICAL]
    assert Counter(e["gap_priority"] for e in of_questions) == Counter(asked)
    ours = [event for event in events if event["layer"] != "prompt"]
    assert all(event["saved_ms"] > 0 for event in ours if event["hit"])
    assert {event["miss_reason"] for event in ours if not event["hit"]} == {"cold"}


def test_every_event_tells_who_asked_what_and_under_which_flags(used: Used) -> None:
    expected = dict.fromkeys(FLAGS, "given") | {
        key: "on" if value else "off" for key, value in FLAGS.items() if isinstance(value, bool)
    }

    assert {event["type"] for event in used.events} == {
        "performance", "llm_call", "quality", "cache",
    }  # fmt: skip
    for event in used.events:
        assert event["user_id"] == ASKER.user_id
        assert event["session_id"] == ASKER.session_id
        assert event["gap_priority"] in set(Priority)
        assert event["flags"] == expected


async def test_a_run_carries_the_priority_of_its_gaps_a_request_the_highest(it: Workload) -> None:
    await it.begin()

    await it.answers(Gap("Kubernetes", Priority.LOW), Gap("Redis", Priority.HIGH))

    of = Counter((e["operation"], e["gap_priority"]) for e in it.captured.of_type("performance"))
    assert of["start", "HIGH"] == of["batch_generate", "HIGH"] == of["finalize", "HIGH"] == 1
    assert of["generate_question", "LOW"] == of["generate_question", "HIGH"] == 1


async def test_an_error_stands_at_its_node_with_type_and_context(it: Workload) -> None:
    def refuses(call: Call) -> Response | None:
        is_writing = call.task.get("task") == "generate_questions"
        return refusal(429, retry_after="200") if is_writing else None

    await it.begin()
    with refusing(it.simulator, refuses):
        await it.results(KUBERNETES)

    [failed] = [e for e in it.captured.of_type("performance") if e.get("status") == "error"]
    assert failed["operation"] == "generate_question"
    assert failed["error_type"] == "RateLimitedError"
    assert failed["error_message"] == "the provider limits the rate of calls"
    assert failed["error_context"]["model"] == "gemini-2.0-flash-exp"
    assert failed["error_context"]["language"] == "english"
    assert failed["error_context"]["gaps_in_run"] == 1
    assert "llm.py" in failed["error_context"]["where"]
    [call] = [e for e in it.captured.of_type("llm_call") if e.get("status") == "error"]
    assert (call["operation"], call["gap_priority"]) == ("generate_question", "HIGH")
