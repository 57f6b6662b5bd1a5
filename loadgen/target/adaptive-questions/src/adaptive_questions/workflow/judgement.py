"""The graphs that improve or judge a question that somebody brings along."""

from __future__ import annotations

from typing import Final, TypeAlias

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

import windsock
from adaptive_questions.domain.background import background
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.result import Evaluation, Question, Refined
from adaptive_questions.workflow.question_nodes import (
    evaluate_quality_node_async,
    refine_answer_node_async,
)
from adaptive_questions.workflow.state import JudgementState
from adaptive_questions.workflow.tools import Tools

JudgementGraph: TypeAlias = CompiledStateGraph[
    JudgementState, Tools, JudgementState, JudgementState
]


@windsock.track_node("start")
async def start(state: JudgementState, runtime: Runtime[Tools]) -> JudgementState:
    """Take the question as a draft; where there is feedback, it was found wanting before."""
    threshold = runtime.context.choices.threshold(state["gaps"][0].priority)
    question = Question(state["question"], difficulty="", expected_points=(), follow_up="")
    feedback = state.get("feedback")
    found = None if feedback is None else Evaluation(0.0, {}, feedback, threshold, accepted=False)
    return {
        "background": background(state["brief"]),
        "thresholds": [threshold],
        "drafts": [Draft(question, found, answer=state.get("answer"))],
        "on_request": True,
    }


@windsock.track_node("finalize")
async def finalize(state: JudgementState, runtime: Runtime[Tools]) -> JudgementState:
    """Give the question with its judgement."""
    draft = state["drafts"][0]
    return {"outcome": Refined(draft.question, draft.judged, runtime.context.choices.model)}


def _graph(*, refining: bool) -> JudgementGraph:
    graph = StateGraph(JudgementState, context_schema=Tools)
    graph.add_node("start", start)
    graph.add_node("evaluate_quality_node_async", evaluate_quality_node_async)
    graph.add_node("finalize", finalize)
    graph.add_edge(START, "start")
    if refining:
        graph.add_node("refine_answer_node_async", refine_answer_node_async)
        graph.add_edge("start", "refine_answer_node_async")
        graph.add_edge("refine_answer_node_async", "evaluate_quality_node_async")
    else:
        graph.add_edge("start", "evaluate_quality_node_async")
    graph.add_edge("evaluate_quality_node_async", "finalize")
    graph.add_edge("finalize", END)
    return graph.compile()


REFINEMENT: Final = _graph(refining=True)
EVALUATION: Final = _graph(refining=False)
