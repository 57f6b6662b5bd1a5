"""The graph that makes the answers for some gaps, and what makes answers of its last state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from adaptive_questions.domain.answer import Answer
from adaptive_questions.domain.ask import Ask
from adaptive_questions.domain.gap import Priority, highest
from adaptive_questions.workflow.context_nodes import (
    embed_gap,
    generate_deep_dive_prompts_node_async,
    search_learning_resources_node_async,
    search_similar_questions,
)
from adaptive_questions.workflow.question_nodes import (
    evaluate_quality_node_async,
    generate_question,
    refine_answer_node_async,
)
from adaptive_questions.workflow.running import about, run
from adaptive_questions.workflow.state import RequestState, RunState
from adaptive_questions.workflow.tools import Tools

Writing = Literal["generate_deep_dive_prompts_node_async", "generate_question"]
WRITING: Final[list[Writing]] = ["generate_deep_dive_prompts_node_async", "generate_question"]


def _after_embedding(_: RunState, runtime: Runtime[Tools]) -> list[str]:
    both = ["search_similar_questions", "search_learning_resources_node_async"]
    return both if runtime.context.choices.parallel_searches else both[:1]


def _after_questions(state: RunState, runtime: Runtime[Tools]) -> str:
    if runtime.context.choices.parallel_searches:
        return _writing(state, runtime)
    return "search_learning_resources_node_async"


def _writing(state: RunState, runtime: Runtime[Tools]) -> Writing:
    priority = Priority(state["gap_priority"])
    return WRITING[0] if runtime.context.choices.wants_deep_dive(priority) else WRITING[1]


def _after_evaluation(state: RunState) -> str:
    return "refine_answer_node_async" if any(each.to_refine for each in state["drafts"]) else END


def _graph() -> StateGraph[RunState, Tools, RunState, RunState]:
    graph = StateGraph(RunState, context_schema=Tools)
    for node in (
        embed_gap,
        search_similar_questions,
        search_learning_resources_node_async,
        generate_deep_dive_prompts_node_async,
        generate_question,
        evaluate_quality_node_async,
        refine_answer_node_async,
    ):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "embed_gap")
    graph.add_conditional_edges(
        "embed_gap",
        _after_embedding,
        ["search_similar_questions", "search_learning_resources_node_async"],
    )
    # Side by side, both searches end in one step, and what follows runs once.
    graph.add_conditional_edges(
        "search_similar_questions",
        _after_questions,
        ["search_learning_resources_node_async", *WRITING],
    )
    graph.add_conditional_edges("search_learning_resources_node_async", _writing, [*WRITING])
    graph.add_edge("generate_deep_dive_prompts_node_async", "generate_question")
    graph.add_edge("generate_question", "evaluate_quality_node_async")
    graph.add_conditional_edges(
        "evaluate_quality_node_async", _after_evaluation, ["refine_answer_node_async", END]
    )
    graph.add_edge("refine_answer_node_async", "evaluate_quality_node_async")
    return graph


QUESTION_RUN: Final[CompiledStateGraph[RunState, Tools, RunState, RunState]] = _graph().compile()


async def answers(asks: Sequence[Ask], request: RequestState, tools: Tools) -> list[Answer]:
    """Return an answer to each of ``asks``, made in one run; raises ``WorkloadError``."""
    state: RunState = {
        "gap_priority": highest([ask.gap.priority for ask in asks]),
        "user_id": request.get("user_id"),
        "session_id": request.get("session_id"),
        "background": request["background"],
        "gaps": [ask.gap for ask in asks],
        "thresholds": [ask.threshold for ask in asks],
    }
    with about(tools.choices, tools.language, gaps_in_run=len(asks)):
        return _answers(await run(QUESTION_RUN, state, tools), tools.choices.model)


def _answers(state: RunState, model: str) -> list[Answer]:
    nothing: Sequence[Sequence[str]] = [()] * len(state["gaps"])
    return [
        Answer(
            question=draft.best.question,
            evaluation=draft.best.judged,
            refined=draft.best.former is not None,
            deep_dive_prompts=tuple(prompts),
            similar_questions=tuple(similar),
            resources=tuple(resources),
            model=model,
        )
        for draft, prompts, similar, resources in zip(
            state["drafts"],
            state.get("deep_dive_prompts", nothing),
            state["similar_questions"],
            state["resources"],
            strict=True,
        )
    ]
