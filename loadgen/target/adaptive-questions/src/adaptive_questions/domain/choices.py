"""What the flags decided for one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adaptive_questions.domain.gap import Priority
from adaptive_questions.domain.threshold import threshold

Rubric = Literal["standard", "advanced"]


@dataclass(frozen=True, slots=True)
class Choices:
    """The flags' values under the names of what they do.

    ``variants`` tells which variant of which flag was in force. A flag that the configuration
    overrides is not among them, because it decided nothing.
    """

    stable_prefix: bool = True
    shared_calls: bool = True
    dynamic_thresholds: bool = True
    parallel_searches: bool = True
    model: str = "gemini-2.0-flash-exp"
    embedding_model: str = "text-embedding-004"
    rag_threshold: float = 0.7
    cards: bool = False
    advanced_evaluation: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)

    @property
    def rubric(self) -> Rubric:
        """The name of the criteria that questions are judged by."""
        return "advanced" if self.advanced_evaluation else "standard"

    def threshold(self, priority: Priority) -> float:
        """Return the score that a question for a gap of ``priority`` must reach."""
        return threshold(priority, dynamic=self.dynamic_thresholds)

    def wants_deep_dive(self, priority: Priority) -> bool:
        """Return whether deep-dive prompts are written; the page of cards loads the lesser ones late."""
        return not self.cards or priority in (Priority.CRITICAL, Priority.HIGH)
