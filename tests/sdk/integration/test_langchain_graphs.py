"""Real LangGraph graphs, none of whose nodes knows of Windsock unless it says so."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

import windsock
from tests.sdk.integration.provider_models import AnsweringModel
from windsock.integrations._langchain_runs import Bounded
from windsock.integrations.langchain import WindsockCallbackHandler
from windsock.testing import Captured

Graph = CompiledStateGraph[Any, Any, Any, Any]


class State(TypedDict, total=False):
    user_id: str
    gap_priority: str
    said: Annotated[list[str], operator.add]


class Library(BaseRetriever):
    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [Document(query)]


@tool
def shelve(title: str) -> str:
    """Put a book on its shelf."""
    if not title:
        raise ValueError("without a title")
    return title


async def ask(state: State) -> State:
    answer = await AnsweringModel(pause_seconds=0.02).ainvoke("Hello?")
    await RunnableLambda(lambda text: text).ainvoke("a chain inside the node")
    return {"said": [str(answer.content)]}


def look_up(state: State) -> State:
    documents = Library().invoke("sky")
    return {"said": [shelve.invoke({"title": documents[0].page_content})]}


def choose(state: State) -> str:
    return "look_up"


def graph(**nodes: Any) -> Graph:
    builder = StateGraph(State)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder.compile()


def watched(*, nodes: bool = True, **metadata: str) -> RunnableConfig:
    return {"callbacks": [WindsockCallbackHandler(nodes=nodes)], "metadata": metadata}


def operations(captured: Captured) -> list[str]:
    return [event["operation"] for event in captured.of_type("performance")]


async def test_each_node_tool_and_retriever_is_recorded_once(captured: Captured) -> None:
    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("look_up", look_up)
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", choose, ["look_up"])
    builder.add_edge("look_up", END)

    answer = await builder.compile().ainvoke({"said": []}, watched())

    assert answer["said"] == ["hello", "sky"]
    assert operations(captured) == ["ask", "Library", "shelve", "look_up"]
    assert all(event["status"] == "ok" for event in captured.of_type("performance"))
    assert captured.of_type("performance")[0]["duration_ms"] >= 20
    assert [call["operation"] for call in captured.of_type("llm_call")] == ["ask"]


async def test_a_chain_that_bears_the_name_of_its_node_is_no_node(captured: Captured) -> None:
    async def ask_again(state: State) -> State:
        said = await RunnableLambda(lambda text: text, name="ask_again").ainvoke("Why?")
        return {"said": [said]}

    await graph(ask_again=ask_again).ainvoke({"said": []}, watched())

    assert operations(captured) == ["ask_again"]


async def test_what_happens_in_a_node_belongs_to_the_user_of_its_state(captured: Captured) -> None:
    state = {"user_id": "u-1", "gap_priority": "HIGH", "said": []}

    await graph(ask=ask, look_up=look_up).ainvoke(state, watched(session_id="s-1", user_id="other"))

    assert len(captured.events) == 6
    for event in captured.events:
        assert event["user_id"] == "u-1"
        assert event["gap_priority"] == "HIGH"
        assert event["session_id"] == "s-1"


async def test_the_thread_of_a_conversation_is_its_session(captured: Captured) -> None:
    config = watched(user_id="u-1") | {"configurable": {"thread_id": "t-1"}}

    await graph(ask=ask).ainvoke({"said": []}, config)

    assert {event["session_id"] for event in captured.events} == {"t-1"}
    assert {event["user_id"] for event in captured.events} == {"u-1"}


def test_a_synchronous_graph_is_recorded_alike(captured: Captured) -> None:
    def ask_now(state: State) -> State:
        return {"said": [str(AnsweringModel().invoke("Hello?").content)]}

    graph(ask_now=ask_now).invoke({"said": []}, watched())

    assert operations(captured) == ["ask_now"]
    assert [call["operation"] for call in captured.of_type("llm_call")] == ["ask_now"]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_parallel_nodes_are_kept_apart(captured: Captured, asynchronous: bool) -> None:
    async def ask_later(state: State) -> State:
        await AnsweringModel(pause_seconds=0.02).ainvoke("Hello?")
        return {"said": [""]}

    def ask_now(state: State) -> State:
        AnsweringModel(pause_seconds=0.02).invoke("Hello?")
        return {"said": [""]}

    builder = StateGraph(State)
    for name in ("one", "two", "three"):
        builder.add_node(name, ask_later if asynchronous else ask_now)
        builder.add_edge(START, name)
    running = builder.compile()
    config = watched()

    if asynchronous:
        await asyncio.gather(*(running.ainvoke({"said": []}, config) for _ in range(5)))
    else:
        await asyncio.gather(
            *(asyncio.to_thread(lambda: running.invoke({"said": []}, config)) for _ in range(5))
        )

    assert sorted(operations(captured)) == sorted(["one", "two", "three"] * 5)
    calls = sorted(call["operation"] for call in captured.of_type("llm_call"))
    assert calls == sorted(["one", "two", "three"] * 5)


async def test_a_failing_node_is_an_error_with_its_context(captured: Captured) -> None:
    async def fail(state: State) -> State:
        await AnsweringModel(error=ConnectionResetError("gone")).ainvoke("Hello?")
        return {}

    with pytest.raises(ConnectionResetError):
        await graph(fail=fail).ainvoke({"user_id": "u-1"}, watched())

    (node,) = captured.of_type("performance")
    (call,) = captured.of_type("llm_call")
    assert node["status"] == call["status"] == "error"
    assert node["error_type"] == call["error_type"] == "ConnectionResetError"
    assert "where" in node["error_context"]
    assert node["user_id"] == "u-1"


async def test_a_cancelled_node_is_an_error(captured: Captured) -> None:
    began = asyncio.Event()

    async def wait(state: State) -> State:
        began.set()
        await AnsweringModel(pause_seconds=60).ainvoke("Hello?")
        return {}

    running = asyncio.create_task(graph(wait=wait).ainvoke({"said": []}, watched()))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    (event,) = captured.events
    assert event["operation"] == "wait"
    assert event["error_type"] == "CancelledError"


def test_a_failing_tool_is_an_error(captured: Captured) -> None:
    with pytest.raises(ValueError, match="without a title"):
        shelve.invoke({"title": ""}, watched())

    (event,) = captured.events
    assert event["operation"] == "shelve"
    assert event["error_type"] == "ValueError"


async def test_a_node_that_waits_for_a_human_is_no_error(captured: Captured) -> None:
    def approve(state: State) -> State:
        return {"said": [interrupt("Go on?")]}

    builder = StateGraph(State)
    builder.add_node("approve", approve)
    builder.add_edge(START, "approve")
    running = builder.compile(checkpointer=InMemorySaver())
    config = watched() | {"configurable": {"thread_id": "t-1"}}

    await running.ainvoke({"said": []}, config)
    await running.ainvoke(Command(resume="yes"), config)

    assert operations(captured) == ["approve", "approve"]
    assert [event["status"] for event in captured.events] == ["ok", "ok"]


async def test_the_nodes_of_a_graph_inside_a_node_are_recorded(captured: Captured) -> None:
    await graph(outer=graph(inner=ask)).ainvoke({"user_id": "u-1", "said": []}, watched())

    assert operations(captured) == ["inner", "outer"]
    assert [call["operation"] for call in captured.of_type("llm_call")] == ["inner"]


async def test_streaming_a_graph_records_it(captured: Captured) -> None:
    async def ask_in_pieces(state: State) -> State:
        pieces = [str(piece.content) async for piece in AnsweringModel().astream("Hello?")]
        return {"said": pieces}

    running = graph(ask_in_pieces=ask_in_pieces)
    streamed: Any = running.astream({"said": []}, watched(), stream_mode="messages")

    assert "".join([message.text async for message, _ in streamed]) == "hello"
    assert operations(captured) == ["ask_in_pieces"]
    (call,) = captured.of_type("llm_call")
    assert "time_to_first_token_ms" in call["attributes"]


async def test_nodes_that_record_themselves_are_not_counted_twice(captured: Captured) -> None:
    @windsock.track_node("tracked")
    async def node(state: State) -> State:
        return await ask(state)

    state = {"user_id": "u-1", "gap_priority": "HIGH", "said": []}
    config = watched(nodes=False, user_id="other")

    await graph(node=node).ainvoke(state, config | {"configurable": {"thread_id": "t-1"}})

    assert operations(captured) == ["tracked"]
    (call,) = captured.of_type("llm_call")
    assert call["operation"] == "tracked"
    assert call["user_id"] == "u-1"
    assert call["gap_priority"] == "HIGH"
    assert call["session_id"] == "t-1"


async def test_a_request_s_session_comes_before_the_thread(captured: Captured) -> None:
    config = watched() | {"configurable": {"thread_id": "t-1"}}

    with windsock.context(session_id="s-1"):
        await graph(ask=ask).ainvoke({"said": []}, config)

    assert {event["session_id"] for event in captured.events} == {"s-1"}


def test_runs_that_never_end_are_forgotten() -> None:
    runs = Bounded[int](3)

    for number in range(10):
        runs.put(number, number)

    assert len(runs) == 3
    assert runs.get(6) is None
    assert runs.pop(9) == 9
    assert runs.pop(9) is None
