"""A question on its way: written, judged, and perhaps written again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from adaptive_questions.domain.result import Evaluation, Question


@dataclass(frozen=True, slots=True)
class Draft:
    """A question, its evaluation once it has one, and the draft that it is to be better than.

    ``answer`` is what a candidate said to it, where that is to be judged.
    """

    question: Question
    evaluation: Evaluation | None = None
    former: Self | None = None
    answer: str | None = None

    @property
    def judged(self) -> Evaluation:
        """The evaluation of a draft that is known to have one."""
        assert self.evaluation is not None
        return self.evaluation

    @property
    def to_refine(self) -> bool:
        """Whether it was found wanting and is the first of its kind: nothing is refined twice."""
        return self.former is None and self.evaluation is not None and not self.evaluation.accepted

    @property
    def best(self) -> Self:
        """The better of this draft and its former; a refinement can also miss."""
        former = self.former
        return self if former is None or self.judged.score >= former.judged.score else former
