"""What the nodes of a run work with."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from adaptive_questions.caches.read_through import ReadThrough
from adaptive_questions.domain.answer import Answer
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Language
from adaptive_questions.domain.result import StreamEvent
from adaptive_questions.knowledge.base import KnowledgeBase
from adaptive_questions.knowledge.embeddings import Embeddings
from adaptive_questions.llm import Provider

Tell = Callable[[StreamEvent], None]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What lives as long as the process."""

    provider: Provider
    embeddings: Embeddings
    knowledge: KnowledgeBase
    answers: ReadThrough[Answer]


@dataclass(frozen=True, slots=True)
class Tools:
    """What one request adds: LangGraph hands it to the nodes as the run's context.

    ``origin`` is the context that the request came in, outside of any graph: work that others
    may share runs in copies of it. ``tell`` hears the steps of a streamed request.
    """

    equipment: Equipment
    choices: Choices
    language: Language
    origin: Context
    tell: Tell | None = None
