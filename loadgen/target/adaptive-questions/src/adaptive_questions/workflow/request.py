"""The graph of a request: one gap or a batch of them, from the caches or newly made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

import windsock
from adaptive_questions.caches.flight import Flight
from adaptive_questions.caches.lookup import Kept
from adaptive_questions.caches.read_through import Found
from adaptive_questions.domain.answer import Answer, given
from adaptive_questions.domain.ask import Ask, asks, groups
from adaptive_questions.domain.background import background
from adaptive_questions.domain.result import GapAnswer, GapFailure, WorkloadError
from adaptive_questions.workflow.question_run import answers
from adaptive_questions.workflow.state import RequestState
from adaptive_questions.workflow.tools import Tools

SINGLE_RUNS: Final = 2
"""How many runs of a request go on at once where gaps do not share them."""


@windsock.track_node("start")
async def start(state: RequestState) -> RequestState:
    """Bring CV and position into the form that keys and prompts are made of."""
    return {"background": background(state["brief"])}


@windsock.track_node("parse_gap")
async def parse_gap(state: RequestState, runtime: Runtime[Tools]) -> RequestState:
    """Make an ask of each gap."""
    tools = runtime.context
    return {"asks": asks(state["gaps"], state["background"], tools.language, tools.choices)}


@windsock.track_node("batch_generate")
async def batch_generate(state: RequestState, runtime: Runtime[Tools]) -> RequestState:
    """Look every ask up, and have those made that nobody has or is making."""
    tools = runtime.context
    wanted = {ask.key: ask for ask in state["asks"]}

    async def make(flights: Sequence[Flight[Answer]]) -> None:
        await _make({each.key: each for each in flights}, wanted, state, tools)

    found = await tools.equipment.answers.find(
        {key: ask.gap.priority for key, ask in wanted.items()},
        make,
        operation="batch_generate",
        context=tools.origin.copy(),
    )
    return {"found": found}


@windsock.track_node("finalize")
async def finalize(state: RequestState, runtime: Runtime[Tools]) -> RequestState:
    """Give each gap its answer, in the order of the gaps."""
    cards = runtime.context.choices.cards
    return {"results": [_result(ask, state["found"][ask.key], cards) for ask in state["asks"]]}


def _result(ask: Ask, found: Found[Answer] | Exception, cards: bool) -> GapAnswer | GapFailure:
    if isinstance(found, WorkloadError):
        return GapFailure(ask.gap, found.code, found.detail, found.retry_after)
    if isinstance(found, Exception):
        # A mistake of ours; others may raise it too, and each begins its traceback anew.
        raise found.with_traceback(None)
    return given(found.value, ask.gap, served=found.source, cards=cards)


async def _make(
    flights: Mapping[str, Flight[Answer]],
    wanted: Mapping[str, Ask],
    state: RequestState,
    tools: Tools,
) -> None:
    """End the flights group by group; what fails in one group is no other's."""
    shared = tools.choices.shared_calls
    turns = asyncio.Semaphore(len(flights) if shared else SINGLE_RUNS)

    async def work(group: Sequence[Ask]) -> None:
        async with turns:
            started = time.perf_counter()
            try:
                made = await answers(group, state, tools)
            except WorkloadError as error:
                for ask in group:
                    flights[ask.key].fail(error)
            else:
                share_ms = (time.perf_counter() - started) * 1000 / len(group)
                for ask, answer in zip(group, made, strict=True):
                    flights[ask.key].succeed(Kept(answer, share_ms))

    work_of_groups = [
        work(group) for group in groups([wanted[key] for key in flights], shared=shared)
    ]
    for outcome in await asyncio.gather(*work_of_groups, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _graph() -> StateGraph[RequestState, Tools, RequestState, RequestState]:
    graph = StateGraph(RequestState, context_schema=Tools)
    graph.add_node("start", start)
    graph.add_node("parse_gap", parse_gap)
    graph.add_node("batch_generate", batch_generate)
    graph.add_node("finalize", finalize)
    graph.add_edge(START, "start")
    graph.add_edge("start", "parse_gap")
    graph.add_edge("parse_gap", "batch_generate")
    graph.add_edge("batch_generate", "finalize")
    graph.add_edge("finalize", END)
    return graph


REQUEST: Final[CompiledStateGraph[RequestState, Tools, RequestState, RequestState]] = (
    _graph().compile()
)
