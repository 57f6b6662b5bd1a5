"""What the rest of the service wants of measurements; ``metrics`` is the client that gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alerts_svc.domain.reading import Answer, Group
from alerts_svc.domain.rule import Query


class MeasuresError(Exception):
    """Nothing could be learnt: metrics-svc or its store is away, or too slow."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered. ``refused`` says why of those that can never be answered as they are."""

    found: Mapping[Query, Answer] = field(default_factory=dict)
    refused: Mapping[Query, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a history that begins at ``at`` (Unix seconds)."""

    at: float
    value: float | None
    samples: float


History = Mapping[Group, Sequence[Point]]


class Measures(Protocol):
    """Whoever can be asked for measurements."""

    async def ask(
        self, queries: Sequence[Query], *, wall: float, seconds: float | None = None
    ) -> Answers:
        """Answer all of ``queries`` about the windows that end at ``wall``; equal ones are asked once.

        ``seconds`` shortens the usual timeout. Raises ``MeasuresError``.
        """
        ...

    async def history(
        self, queries: Sequence[Query], *, begin: float, end: float, step_seconds: int
    ) -> Mapping[Query, History]:
        """Answer ``queries`` for each step of a stretch of the past; their own windows do not matter.

        Raises ``MeasuresError``, and ``RefusedError`` where a query cannot be answered as it is.
        """
        ...


class RefusedError(Exception):
    """A query that can never be answered as it is; the text says why."""
