"""The workload as its HTTP interface calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Final

from qdrant_client import AsyncQdrantClient

import windsock
from adaptive_questions.caches.lookup import V
from adaptive_questions.caches.memory import MemoryCache
from adaptive_questions.caches.read_through import CacheStats, ReadThrough
from adaptive_questions.caches.remote import RemoteCache, SharedRedis
from adaptive_questions.choices import Chooser
from adaptive_questions.domain.answer import Answer
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Asker, Brief, Gap, highest
from adaptive_questions.domain.result import (
    Evaluation,
    GapAnswer,
    GapFailure,
    Refined,
    StreamEvent,
)
from adaptive_questions.knowledge.base import KnowledgeBase
from adaptive_questions.knowledge.embeddings import Embeddings
from adaptive_questions.llm import Provider
from adaptive_questions.workflow.config import Config
from adaptive_questions.workflow.judgement import EVALUATION, REFINEMENT, JudgementGraph
from adaptive_questions.workflow.request import REQUEST
from adaptive_questions.workflow.running import about, run
from adaptive_questions.workflow.state import JudgementState, RequestState
from adaptive_questions.workflow.tools import Equipment, Tell, Tools
from windsock_kit.errors import UnavailableError
from windsock_kit.loops import PeriodicLoop, running

INDEX_SECONDS: Final = 2.0
GRACE_SECONDS: Final = 1.0


class WorkflowQuestions:
    """Implements ``Questions`` by the graphs; choices are made once for each request."""

    def __init__(self, equipment: Equipment, chooser: Chooser) -> None:
        self._equipment = equipment
        self._chooser = chooser

    async def ready(self) -> None:
        """Raise ``UnavailableError`` until the knowledge base can be searched."""
        if not self._equipment.knowledge.filled:
            raise UnavailableError("the knowledge base is being indexed", retry_after=INDEX_SECONDS)

    def cache_stats(self) -> Mapping[str, CacheStats]:
        """Return the look-ups of each cache so far."""
        equipment = self._equipment
        return {"questions": equipment.answers.stats(), "embeddings": equipment.embeddings.stats()}

    async def generate(
        self, gaps: Sequence[Gap], brief: Brief, asker: Asker
    ) -> list[GapAnswer | GapFailure]:
        """Return one result per gap, in the gaps' order; one gap's failure is no other's."""
        with self._chosen(asker) as choices:
            return await self._generate(gaps, brief, asker, choices)

    async def stream(self, gap: Gap, brief: Brief, asker: Asker) -> AsyncGenerator[StreamEvent]:
        """Run one gap and tell each step.

        Closing the generator ends the telling; a run that others may share goes on.
        """
        events: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        with self._chosen(asker) as choices:
            work = self._generate([gap], brief, asker, choices, tell=events.put_nowait)
            task = asyncio.create_task(work)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            [result] = task.result()
            if isinstance(result, GapFailure):
                yield StreamEvent("failure", {"failure": result})
            else:
                yield StreamEvent("question", {"answer": result})
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def refine(
        self, gap: Gap, question: str, feedback: str, brief: Brief, asker: Asker
    ) -> Refined:
        """Return a better question than ``question``; raises ``WorkloadError``."""
        state: JudgementState = {"question": question, "feedback": feedback}
        return await self._judge(REFINEMENT, state, gap, brief, asker)

    async def evaluate(
        self, gap: Gap, question: str, answer: str | None, brief: Brief, asker: Asker
    ) -> Evaluation:
        """Judge a question, or the candidate's ``answer`` to it; raises ``WorkloadError``."""
        state: JudgementState = {"question": question, "answer": answer}
        return (await self._judge(EVALUATION, state, gap, brief, asker)).evaluation

    async def _generate(
        self,
        gaps: Sequence[Gap],
        brief: Brief,
        asker: Asker,
        choices: Choices,
        tell: Tell | None = None,
    ) -> list[GapAnswer | GapFailure]:
        state: RequestState = {
            "gap_priority": highest([gap.priority for gap in gaps]),
            "user_id": asker.user_id,
            "session_id": asker.session_id,
            "brief": brief,
            "gaps": gaps,
        }
        tools = Tools(self._equipment, choices, brief.language, copy_context(), tell)
        last: RequestState = await run(REQUEST, state, tools)
        return list(last["results"])

    async def _judge(
        self, graph: JudgementGraph, state: JudgementState, gap: Gap, brief: Brief, asker: Asker
    ) -> Refined:
        state |= {
            "gap_priority": gap.priority,
            "user_id": asker.user_id,
            "session_id": asker.session_id,
            "brief": brief,
            "gaps": [gap],
        }
        with self._chosen(asker) as choices, about(choices, brief.language):
            tools = Tools(self._equipment, choices, brief.language, copy_context())
            last: JudgementState = await run(graph, state, tools)
        return last["outcome"]

    @contextmanager
    def _chosen(self, asker: Asker) -> Generator[Choices]:
        """Make the choices for ``asker``; all that is recorded in the block tells both."""
        with windsock.context(user_id=asker.user_id, session_id=asker.session_id):
            choices = self._chooser.choose(asker)
            with windsock.context(flags=choices.variants):
                yield choices


@asynccontextmanager
async def open_questions(config: Config) -> AsyncGenerator[WorkflowQuestions]:
    """Give the workload, with all that it needs running for the block.

    It can be asked at once; until the knowledge base is indexed, in the background, questions
    are written without context. Whatever is away, it opens.
    """
    chooser = Chooser(model=config.model, embedding_model=config.embedding_model)
    async with AsyncExitStack() as stack:
        provider = Provider(
            base_url=config.openai_base_url,
            api_key=config.openai_api_key,
            name=config.provider,
            timeout_seconds=config.request_timeout_seconds,
            max_calls=config.max_model_calls,
        )
        stack.push_async_callback(provider.close)
        redis = None if config.redis_url is None else SharedRedis(config.redis_url)
        if redis is not None:
            stack.push_async_callback(redis.close)
        client = _qdrant(config)
        stack.push_async_callback(client.close)
        knowledge = KnowledgeBase(client, provider, models=chooser.embedding_models)
        answers = _cache(Answer, "answer:1", config, redis)
        stack.push_async_callback(answers.close)
        vectors = _cache(bytes, "vector:1", config, redis)
        stack.push_async_callback(vectors.close)
        loop = PeriodicLoop("index_knowledge", knowledge.fill, interval=INDEX_SECONDS)
        await stack.enter_async_context(running([loop], grace=GRACE_SECONDS))
        embeddings = Embeddings(provider, vectors)
        yield WorkflowQuestions(Equipment(provider, embeddings, knowledge, answers), chooser)


def _qdrant(config: Config) -> AsyncQdrantClient:
    if config.qdrant_url is None:
        return AsyncQdrantClient(location=":memory:")
    # The check would be a blocking request, to a server that may be away.
    return AsyncQdrantClient(
        url=config.qdrant_url, api_key=config.qdrant_api_key, check_compatibility=False
    )


def _cache(kind: type[V], form: str, config: Config, redis: SharedRedis | None) -> ReadThrough[V]:
    """Return a cache of both layers; ``form`` is what entries in Redis are named by."""
    near = MemoryCache[V](capacity=config.l1_entries, ttl_seconds=config.l1_ttl_seconds)
    if redis is None:
        return ReadThrough(near, None)
    far = RemoteCache(
        redis,
        kind,
        namespace=f"adaptive-questions:{form}",
        ttl_seconds=config.l2_ttl_seconds,
        capacity=config.l1_entries,
    )
    return ReadThrough(near, far)
