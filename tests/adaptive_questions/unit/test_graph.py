from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph

from adaptive_questions.workflow.judgement import EVALUATION, REFINEMENT
from adaptive_questions.workflow.question_run import QUESTION_RUN
from adaptive_questions.workflow.request import REQUEST

SIMILAR = "search_similar_questions"
RESOURCES = "search_learning_resources_node_async"
PROMPTS = "generate_deep_dive_prompts_node_async"
QUESTION = "generate_question"
EVALUATE = "evaluate_quality_node_async"
REFINE = "refine_answer_node_async"
START, END = "__start__", "__end__"


@pytest.mark.parametrize(
    ("graph", "edges"),
    [
        (
            REQUEST,
            {
                (START, "start"),
                ("start", "parse_gap"),
                ("parse_gap", "batch_generate"),
                ("batch_generate", "finalize"),
                ("finalize", END),
            },
        ),
        (
            QUESTION_RUN,
            {
                (START, "embed_gap"),
                ("embed_gap", SIMILAR),
                ("embed_gap", RESOURCES),
                (SIMILAR, RESOURCES),
                (SIMILAR, PROMPTS),
                (SIMILAR, QUESTION),
                (RESOURCES, PROMPTS),
                (RESOURCES, QUESTION),
                (PROMPTS, QUESTION),
                (QUESTION, EVALUATE),
                (EVALUATE, REFINE),
                (EVALUATE, END),
                (REFINE, EVALUATE),
            },
        ),
        (
            REFINEMENT,
            {
                (START, "start"),
                ("start", REFINE),
                (REFINE, EVALUATE),
                (EVALUATE, "finalize"),
                ("finalize", END),
            },
        ),
        (
            EVALUATION,
            {(START, "start"), ("start", EVALUATE), (EVALUATE, "finalize"), ("finalize", END)},
        ),
    ],
    ids=["request", "run", "refinement", "evaluation"],
)
def test_a_graph_leads_where_it_should(
    graph: CompiledStateGraph[Any, Any, Any, Any], edges: set[tuple[str, str]]
) -> None:
    drawn = graph.get_graph()

    assert {(edge.source, edge.target) for edge in drawn.edges} == edges


def test_the_graphs_have_all_the_nodes_that_the_workload_promises() -> None:
    graphs = (REQUEST, QUESTION_RUN, REFINEMENT, EVALUATION)

    assert {name for graph in graphs for name in graph.builder.nodes} == {
        "start", "parse_gap", "batch_generate", "finalize",
        "embed_gap", SIMILAR, RESOURCES, PROMPTS, QUESTION, EVALUATE, REFINE,
    }  # fmt: skip
