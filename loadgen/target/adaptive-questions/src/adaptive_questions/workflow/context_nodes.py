"""The nodes that gather what a question is written from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph.runtime import Runtime

import windsock
from adaptive_questions.domain.gap import Gap
from adaptive_questions.domain.result import Resource
from adaptive_questions.knowledge.base import Hit
from adaptive_questions.knowledge.seed import Shelf
from adaptive_questions.prompts import forms, tasks
from adaptive_questions.prompts.messages import messages
from adaptive_questions.workflow.state import RunState
from adaptive_questions.workflow.tools import Tools

LIMIT: Final = 4


@windsock.track_node("embed_gap")
async def embed_gap(state: RunState, runtime: Runtime[Tools]) -> RunState:
    """Embed each gap as it was described."""
    tools = runtime.context
    texts = [_described(gap.skill, gap) for gap in state["gaps"]]
    vectors = await tools.equipment.embeddings.vectors(
        texts, model=tools.choices.embedding_model, operation="embed_gap"
    )
    return {"vectors": vectors}


@windsock.track_node("search_similar_questions")
async def search_similar_questions(state: RunState, runtime: Runtime[Tools]) -> RunState:
    """Find questions that worked in other interviews."""
    queries = [_described(f"Interview question about {gap.skill}", gap) for gap in state["gaps"]]
    found = await _search("questions", queries, "search_similar_questions", state, runtime.context)
    return {"similar_questions": [tuple(hit.item.title for hit in hits) for hits in found]}


@windsock.track_node("search_learning_resources_node_async")
async def search_learning_resources_node_async(
    state: RunState, runtime: Runtime[Tools]
) -> RunState:
    """Find what a candidate may have learned the skill from."""
    queries = [_described(f"How to learn {gap.skill}", gap) for gap in state["gaps"]]
    operation = "search_learning_resources_node_async"
    found = await _search("resources", queries, operation, state, runtime.context)
    return {
        "resources": [
            tuple(Resource(hit.item.title, hit.item.kind, hit.similarity) for hit in hits)
            for hits in found
        ]
    }


@windsock.track_node("generate_deep_dive_prompts_node_async")
async def generate_deep_dive_prompts_node_async(
    state: RunState, runtime: Runtime[Tools]
) -> RunState:
    """Write directions in which the interviewer may go deeper."""
    tools = runtime.context
    gaps = state["gaps"]
    written = await tools.equipment.provider.chat(
        messages(
            tasks.deep_dive(gaps, tools.language),
            state["background"],
            stable_prefix=tools.choices.stable_prefix,
        ),
        tasks.ids(len(gaps)),
        forms.PROMPTS,
        model=tools.choices.model,
    )
    return {"deep_dive_prompts": [tuple(each.prompts) for each in written]}


def _described(text: str, gap: Gap) -> str:
    return f"{text}: {gap.description}" if gap.description else text


async def _search(
    shelf: Shelf, queries: Sequence[str], operation: str, state: RunState, tools: Tools
) -> list[list[Hit]]:
    """Search with two vectors for each gap: its own, and that of the query made for the shelf."""
    model = tools.choices.embedding_model
    asked = await tools.equipment.embeddings.vectors(queries, model=model, operation=operation)
    return await tools.equipment.knowledge.search(
        shelf,
        list(zip(state["vectors"], asked, strict=True)),
        model=model,
        threshold=tools.choices.rag_threshold,
        limit=LIMIT,
    )
