"""The nodes that write, judge and improve questions."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from langgraph.runtime import Runtime

import windsock
from adaptive_questions.domain.draft import Draft
from adaptive_questions.domain.gap import Gap
from adaptive_questions.domain.result import Evaluation, Question, StreamEvent
from adaptive_questions.prompts import forms, tasks
from adaptive_questions.prompts.messages import messages
from adaptive_questions.workflow.state import RunState
from adaptive_questions.workflow.tools import Tools


@windsock.track_node("generate_question")
async def generate_question(state: RunState, runtime: Runtime[Tools]) -> RunState:
    """Write a question for each gap; the listener of a stream hears it being written."""
    tools = runtime.context
    gaps = state["gaps"]
    task = tasks.generate_questions(
        gaps,
        tools.language,
        similar_questions=[text for texts in state["similar_questions"] for text in texts],
        resources=[each.title for found in state["resources"] for each in found],
        deep_dive_prompts=state.get("deep_dive_prompts", ()),
    )
    tell = tools.tell
    written = await tools.equipment.provider.chat(
        messages(task, state["background"], stable_prefix=tools.choices.stable_prefix),
        tasks.ids(len(gaps)),
        forms.QUESTIONS,
        model=tools.choices.model,
        hear=None if tell is None else lambda text: tell(StreamEvent("delta", {"text": text})),
    )
    return {"drafts": [Draft(_question(each)) for each in written]}


@windsock.track_node("evaluate_quality_node_async")
async def evaluate_quality_node_async(state: RunState, runtime: Runtime[Tools]) -> RunState:
    """Judge the drafts that were not judged yet."""
    tools = runtime.context
    drafts = list(state["drafts"])
    due = [at for at, draft in enumerate(drafts) if draft.evaluation is None]
    rubric = tools.choices.rubric
    task = tasks.evaluate_questions(_pairs(state, due), tools.language, rubric)
    judgements = await tools.equipment.provider.chat(
        messages(task, state["background"], stable_prefix=tools.choices.stable_prefix),
        tasks.ids(len(due)),
        forms.EVALUATIONS[rubric],
        model=tools.choices.model,
    )
    for at, judgement in zip(due, judgements, strict=True):
        evaluation = _evaluation(judgement, state["thresholds"][at])
        drafts[at] = replace(drafts[at], evaluation=evaluation)
        on_request = state.get("on_request", False)
        _record_quality(drafts[at], state["gaps"][at], f"{rubric}_rubric", on_request=on_request)
    return {"drafts": drafts}


@windsock.track_node("refine_answer_node_async")
async def refine_answer_node_async(state: RunState, runtime: Runtime[Tools]) -> RunState:
    """Write the drafts again that are below their threshold, by the feedback that they got."""
    tools = runtime.context
    drafts = list(state["drafts"])
    due = [at for at, draft in enumerate(drafts) if draft.to_refine]
    written = await tools.equipment.provider.chat(
        messages(
            tasks.refine_questions(_pairs(state, due), tools.language),
            state["background"],
            stable_prefix=tools.choices.stable_prefix,
        ),
        tasks.ids(len(due)),
        forms.QUESTIONS,
        model=tools.choices.model,
    )
    for at, each in zip(due, written, strict=True):
        drafts[at] = Draft(_question(each), former=drafts[at])
    return {"drafts": drafts}


def _pairs(state: RunState, due: list[int]) -> list[tuple[Gap, Draft]]:
    return [(state["gaps"][at], state["drafts"][at]) for at in due]


def _question(written: forms.WrittenQuestion) -> Question:
    return Question(
        text=written.question,
        difficulty=written.difficulty,
        expected_points=tuple(written.expected_points),
        follow_up=written.follow_up,
    )


def _evaluation(judgement: forms.Judgement, threshold: float) -> Evaluation:
    return Evaluation(
        score=judgement.score,
        criteria=msgspec.structs.asdict(judgement.criteria),
        feedback=judgement.feedback,
        threshold=threshold,
        accepted=judgement.score >= threshold,
    )


def _record_quality(draft: Draft, gap: Gap, rubric: str, *, on_request: bool) -> None:
    """Record a judgement; only the first one of a question of ours counts for the rates."""
    stage = "after_refinement" if draft.former is not None else "first_pass"
    first = stage == "first_pass" and not on_request
    windsock.get_metrics_collector().record_quality(
        "evaluate_quality_node_async",
        score=draft.judged.score,
        refined=draft.to_refine if first else None,
        accepted_first_pass=draft.judged.accepted if first else None,
        evaluator=f"{'on_request' if on_request else stage}:{rubric}",
        gap_priority=gap.priority,
    )
