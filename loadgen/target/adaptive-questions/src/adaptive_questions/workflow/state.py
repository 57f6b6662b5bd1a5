"""The states of the graphs. A node returns the part that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from adaptive_questions.caches.read_through import Found
from adaptive_questions.domain.answer import Answer
from adaptive_questions.domain.ask import Ask
from adaptive_questions.domain.background import Background
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.gap import Brief, Gap
from adaptive_questions.domain.result import GapAnswer, GapFailure, Refined, Resource


class State(TypedDict, total=False):
    """What every state has: ``track_node`` gives the first three to all events of a node."""

    gap_priority: str
    user_id: str | None
    session_id: str | None
    background: Background


class RequestState(State, total=False):
    """A request: gaps become asks, and asks results, all in one order."""

    brief: Brief
    gaps: Sequence[Gap]
    asks: Sequence[Ask]
    found: Mapping[str, Found[Answer] | Exception]
    results: Sequence[GapAnswer | GapFailure]


class RunState(State, total=False):
    """A run for some gaps; all lists have an entry for each gap, in one order.

    ``on_request`` says that somebody asked for the judgement of a question of theirs: it tells
    nothing about how good the questions of this application are.
    """

    gaps: Sequence[Gap]
    thresholds: Sequence[float]
    vectors: Sequence[list[float]]
    similar_questions: Sequence[Sequence[str]]
    resources: Sequence[Sequence[Resource]]
    deep_dive_prompts: Sequence[Sequence[str]]
    drafts: Sequence[Draft]
    on_request: bool


class JudgementState(RunState, total=False):
    """A question that somebody brings along: to be improved by ``feedback``, or only judged."""

    brief: Brief
    question: str
    feedback: str | None
    answer: str | None
    outcome: Refined
