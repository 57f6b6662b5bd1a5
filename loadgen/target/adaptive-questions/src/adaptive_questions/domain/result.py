"""What is answered, per gap, and what a stream tells on the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from adaptive_questions.domain.gap import Asker, Brief, Gap

Served = Literal["l1", "l2", "shared", "new"]
"""Where a result came from: a cache, another request that was making it, or this one's own run."""


@dataclass(frozen=True, slots=True)
class Question:
    """An interview question as the model wrote it; ``difficulty`` is easy, medium or hard."""

    text: str
    difficulty: str
    expected_points: tuple[str, ...]
    follow_up: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A judgement: ``score`` and each criterion from 0 to 10, against ``threshold``."""

    score: float
    criteria: Mapping[str, float]
    feedback: str
    threshold: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Resource:
    """Something to learn the skill from; ``similarity`` is the cosine to the query."""

    title: str
    kind: str
    similarity: float


@dataclass(frozen=True, slots=True)
class GapAnswer:
    """The question for one gap. ``cards`` are there for the new page only."""

    gap: Gap
    question: Question
    evaluation: Evaluation
    refined: bool
    deep_dive_prompts: tuple[str, ...]
    similar_questions: tuple[str, ...]
    resources: tuple[Resource, ...]
    model: str
    served: Served
    cards: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class GapFailure:
    """No question for one gap. ``retry_after`` is in seconds, where the provider said so.

    ``code`` is rate_limited, provider_error, provider_timeout, provider_unreachable or bad_answer.
    """

    gap: Gap
    code: str
    detail: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refined:
    """A better question, and what it is judged to be worth."""

    question: Question
    evaluation: Evaluation
    model: str


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One step of a streamed run.

    ``name`` is progress (data: node), delta (data: text, a piece of the model's answer), question
    (data: the GapAnswer under "answer") or failure (data: the GapFailure under "failure"). One of
    the last two ends the stream.
    """

    name: Literal["progress", "delta", "question", "failure"]
    data: Mapping[str, object] = field(default_factory=dict)


class WorkloadError(Exception):
    """The provider did not do its part. ``code`` and ``retry_after`` are as in ``GapFailure``."""

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class RateLimitedError(WorkloadError):
    """The provider asks for fewer calls."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__("rate_limited", detail, retry_after)


class ProviderError(WorkloadError):
    """The provider answered with an error of its own."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__("provider_error", detail, retry_after)


class ProviderTimeoutError(WorkloadError):
    """The provider took longer than a call may."""

    def __init__(self, detail: str) -> None:
        super().__init__("provider_timeout", detail)


class ProviderUnreachableError(WorkloadError):
    """There was no connection to the provider, it broke, or the provider said that it is away."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__("provider_unreachable", detail, retry_after)


class BadAnswerError(WorkloadError):
    """The model answered with something else than what was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad_answer", detail)


class Questions(Protocol):
    """What the workload does, as its HTTP interface calls it."""

    async def generate(
        self, gaps: Sequence[Gap], brief: Brief, asker: Asker
    ) -> list[GapAnswer | GapFailure]:
        """Return one result per gap, in the gaps' order; one gap's failure is no other's."""
        ...

    def stream(self, gap: Gap, brief: Brief, asker: Asker) -> AsyncGenerator[StreamEvent]:
        """Run one gap and tell each step; closing the generator ends the telling."""
        ...

    async def refine(
        self, gap: Gap, question: str, feedback: str, brief: Brief, asker: Asker
    ) -> Refined:
        """Return a better question than ``question``; raises ``WorkloadError``."""
        ...

    async def evaluate(
        self, gap: Gap, question: str, answer: str | None, brief: Brief, asker: Asker
    ) -> Evaluation:
        """Judge a question, or the candidate's ``answer`` to it; raises ``WorkloadError``."""
        ...
