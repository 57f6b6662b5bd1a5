"""Running a graph, for itself or before a listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StreamMode

import windsock
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Language
from adaptive_questions.domain.result import StreamEvent
from adaptive_questions.workflow.state import State
from adaptive_questions.workflow.tools import Tools

S = TypeVar("S", bound=State)


def about(choices: Choices, language: Language, **more: object) -> windsock.context:
    """Return a block in which errors and all other events tell what they happened with."""
    return windsock.context(attributes={"model": choices.model, "language": language, **more})


async def run(graph: CompiledStateGraph[S, Tools, S, S], state: S, tools: Tools) -> Any:
    """Return the last state; each node is told as it starts."""
    if tools.tell is None:
        return await graph.ainvoke(state, context=tools)
    last: Any = state
    modes: list[StreamMode] = ["tasks", "values"]
    steps: AsyncIterator[Any] = graph.astream(state, context=tools, stream_mode=modes)
    async for mode, chunk in steps:
        if mode == "values":
            last = chunk
        # A task is told twice: with its input as it starts, with its result as it ends.
        elif "input" in chunk:
            tools.tell(StreamEvent("progress", {"node": chunk["name"]}))
    return last
