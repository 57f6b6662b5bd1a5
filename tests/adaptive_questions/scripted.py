"""Questions in memory: what they answer is said by the test, and what they were asked is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adaptive_questions.caches.read_through import CacheStats
from adaptive_questions.domain.gap import Asker, Brief, Gap
from adaptive_questions.domain.result import (
    Evaluation,
    GapAnswer,
    GapFailure,
    Question,
    Refined,
    Resource,
    StreamEvent,
    WorkloadError,
)
from windsock_kit.errors import UnavailableError

EVALUATION = Evaluation(7.25, {"relevance": 7.5, "clarity": 7.0, "depth": 7.25}, "Good.", 7.0, True)
CARDS = ({"title": "Question", "text": "How?"},)


class ScriptedQuestions:
    """Answers every gap, but those whose skill is in ``failing``; waits for ``let_go`` where it is set.

    ``asked`` has every call's name and arguments; ``stopped`` is set when a stream is broken off.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failing: dict[str, WorkloadError] = {}
        self.refusal: WorkloadError | None = None
        self.let_go: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()
        self.is_ready = True
        self.with_cards = False
        # What a stream tells before its result.
        self.steps: Sequence[StreamEvent] = (
            StreamEvent("progress", {"node": "start"}),
            StreamEvent("delta", {"text": "Wie würden\nSie "}),
            StreamEvent("delta", {"text": "\u2028das?"}),
        )

    @asynccontextmanager
    async def opened(self, _: object) -> AsyncGenerator[ScriptedQuestions]:
        """Be what an application opens, whatever its configuration."""
        yield self

    async def ready(self) -> None:
        if not self.is_ready:
            raise UnavailableError("the knowledge base is being indexed")

    def cache_stats(self) -> Mapping[str, CacheStats]:
        return {"questions": CacheStats(5, 4, 3, 2, 1, 0)}

    async def generate(
        self, gaps: Sequence[Gap], brief: Brief, asker: Asker
    ) -> list[GapAnswer | GapFailure]:
        self.asked.append(("generate", list(gaps), brief, asker))
        await self._wait()
        return [self._result(gap) for gap in gaps]

    async def stream(self, gap: Gap, brief: Brief, asker: Asker) -> AsyncGenerator[StreamEvent]:
        self.asked.append(("stream", gap, brief, asker))
        try:
            for step in self.steps:
                yield step
            await self._wait()
            result = self._result(gap)
            if isinstance(result, GapAnswer):
                yield StreamEvent("question", {"answer": result})
            else:
                yield StreamEvent("failure", {"failure": result})
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.set()
            raise

    async def refine(
        self, gap: Gap, question: str, feedback: str, brief: Brief, asker: Asker
    ) -> Refined:
        self.asked.append(("refine", gap, question, feedback, brief, asker))
        await self._wait()
        self._check()
        return Refined(question_on(gap), EVALUATION, "gemini-2.0-flash-exp")

    async def evaluate(
        self, gap: Gap, question: str, answer: str | None, brief: Brief, asker: Asker
    ) -> Evaluation:
        self.asked.append(("evaluate", gap, question, answer, brief, asker))
        await self._wait()
        self._check()
        return EVALUATION

    async def _wait(self) -> None:
        self.begun.set()
        if self.let_go is not None:
            await self.let_go.wait()

    def _check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def _result(self, gap: Gap) -> GapAnswer | GapFailure:
        error = self.failing.get(gap.skill)
        if error is not None:
            return GapFailure(gap, error.code, error.detail, error.retry_after)
        return GapAnswer(
            gap,
            question_on(gap),
            EVALUATION,
            refined=gap.skill == "Rust",
            deep_dive_prompts=("Why?",),
            similar_questions=("How is it done?",),
            resources=(Resource("A book", "book", 0.8123456),),
            model="gemini-2.0-flash-exp",
            served="l1" if gap.skill == "Go" else "new",
            cards=CARDS if self.with_cards else None,
        )


def question_on(gap: Gap) -> Question:
    """Return the question that is answered for a gap."""
    return Question(f"What of {gap.skill}?", "medium", ("a point", "another"), "And then?")
