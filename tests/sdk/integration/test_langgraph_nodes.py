"""A real LangGraph graph: what it gives its nodes must arrive, and what they record must too."""

import operator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

import windsock
from windsock.ambient import OPERATION
from windsock.testing import Captured


@dataclass(frozen=True)
class Tools:
    greeting: str


class State(TypedDict, total=False):
    user_id: str
    session_id: str
    gap_priority: str
    said: Annotated[list[str], operator.add]


@windsock.track_node("greet")
async def greet(state: State, runtime: Runtime[Tools]) -> State:
    windsock.get_metrics_collector().record_llm_cost(OPERATION.get() or "", 10, 2)
    return {"said": [runtime.context.greeting]}


@windsock.track_node
def configured(state: State, config: RunnableConfig) -> State:
    return {"said": [config["configurable"]["thread"]]}


@windsock.track_node
async def both(state: State, config: RunnableConfig, runtime: Runtime[Tools]) -> State:
    return {"said": [f"{runtime.context.greeting} {config['configurable']['thread']}"]}


async def uninstrumented(state: State) -> State:
    return {"said": ["unseen"]}


def graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    builder = StateGraph(State, context_schema=Tools)
    builder.add_node("greet", greet)
    builder.add_node("configured", configured)
    builder.add_node("both", both)  # type: ignore[arg-type]  # It works; the types lack the pair.
    builder.add_node("uninstrumented", uninstrumented)
    builder.add_edge(START, "greet")
    builder.add_edge("greet", "configured")
    builder.add_edge("greet", "both")
    builder.add_edge(["configured", "both"], "uninstrumented")
    builder.add_edge("uninstrumented", END)
    return builder.compile()


async def test_nodes_of_a_graph_get_runtime_and_config_and_record_their_state(
    captured: Captured,
) -> None:
    unit = {"user_id": "u-1", "session_id": "s-1", "gap_priority": "CRITICAL"}

    result = await graph().ainvoke(
        {**unit, "said": []}, {"configurable": {"thread": "t-1"}}, context=Tools("hello")
    )

    assert sorted(result["said"]) == ["hello", "hello t-1", "t-1", "unseen"]
    recorded = [(event["type"], event["operation"]) for event in captured.events]
    assert recorded[:2] == [("llm_call", "greet"), ("performance", "greet")]
    assert sorted(recorded[2:]) == [("performance", "both"), ("performance", "configured")]
    for event in captured.events:
        assert {name: event[name] for name in unit} == unit


def test_a_compiled_graph_tells_which_nodes_are_instrumented() -> None:
    operations = {}
    for name, node in graph().nodes.items():
        function = getattr(node.bound, "afunc", None) or getattr(node.bound, "func", None)
        operations[name] = getattr(function, "__windsock_operation__", None)

    del operations["__start__"]
    assert operations == {
        "greet": "greet",
        "configured": "configured",
        "both": "both",
        "uninstrumented": None,
    }


async def test_a_node_that_waits_for_a_human_is_no_error(captured: Captured) -> None:
    @windsock.track_node("approve")
    async def approve(state: State) -> State:
        return {"said": [interrupt("may I?")]}

    builder = StateGraph(State)
    builder.add_node("approve", approve)
    builder.add_edge(START, "approve")
    paused = builder.compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}

    await paused.ainvoke({"user_id": "u-1"}, thread)
    answer = await paused.ainvoke(Command(resume="yes"), thread)

    assert answer["said"] == ["yes"]
    runs = captured.of_type("performance")
    assert [run["operation"] for run in runs] == ["approve", "approve"]
    assert [run for run in runs if "error_type" in run] == []
