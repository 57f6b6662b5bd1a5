"""What is answered, and what a stream tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from adaptive_questions.domain.gap import Gap
from adaptive_questions.domain.result import (
    Evaluation,
    GapAnswer,
    GapFailure,
    Question,
    Refined,
    Resource,
    Served,
    StreamEvent,
)

Answer = dict[str, object]

_SCORE_DIGITS = 3
_SIMILARITY_DIGITS = 4


def generated(answer: GapAnswer) -> Answer:
    """Return one gap's question and what belongs to it."""
    shown: Answer = {
        "gap": gap(answer.gap),
        "status": "ok",
        "question": question(answer.question),
        "evaluation": evaluation(answer.evaluation),
        "refined": answer.refined,
        "deep_dive_prompts": list(answer.deep_dive_prompts),
        "similar_questions": list(answer.similar_questions),
        "resources": [_resource(each) for each in answer.resources],
        "model": answer.model,
        "served": answer.served,
    }
    if answer.cards is not None:
        shown["cards"] = [dict(card) for card in answer.cards]
    return shown


def failure(failed: GapFailure) -> Answer:
    """Return why there is no question for one gap."""
    error = {"code": failed.code, "detail": failed.detail, "retry_after": failed.retry_after}
    return {"gap": gap(failed.gap), "status": "error", "error": error}


def batch(results: Sequence[GapAnswer | GapFailure], duration_ms: float) -> Answer:
    """Return all results of a batch in its gaps' order, one of them an answer, and their summary."""
    shown = [generated(each) if isinstance(each, GapAnswer) else failure(each) for each in results]
    return {"questions": shown, "summary": _summary(results, duration_ms)}


def _summary(results: Sequence[GapAnswer | GapFailure], duration_ms: float) -> Answer:
    good = [each for each in results if isinstance(each, GapAnswer)]
    served = Counter(each.served for each in good)
    scores = [each.evaluation.score for each in good]
    return {
        "requested": len(results),
        "generated": len(good),
        "failed": len(results) - len(good),
        "served": {name: served[name] for name in get_args(Served)},
        "average_score": round(sum(scores) / len(scores), _SCORE_DIGITS),
        "refined": sum(each.refined for each in good),
        "duration_ms": _milliseconds(duration_ms),
    }


def refined(asked: Gap, better: Refined) -> Answer:
    """Return a better question."""
    return {
        "gap": gap(asked),
        "question": question(better.question),
        "evaluation": evaluation(better.evaluation),
        "model": better.model,
    }


def evaluated(asked: Gap, judged: Evaluation) -> Answer:
    """Return a judgement."""
    return {"gap": gap(asked), "evaluation": evaluation(judged)}


def told(event: StreamEvent) -> Answer:
    """Return what a step of a stream says; the two last steps say what ``generated`` and ``failure`` do."""
    if event.name == "question":
        answer = event.data["answer"]
        assert isinstance(answer, GapAnswer)
        return generated(answer)
    if event.name == "failure":
        failed = event.data["failure"]
        assert isinstance(failed, GapFailure)
        return failure(failed)
    return dict(event.data)


def done(*, ok: bool, duration_ms: float) -> Answer:
    """Return the last words of a stream."""
    return {"status": "ok" if ok else "error", "duration_ms": _milliseconds(duration_ms)}


def gap(asked: Gap) -> Answer:
    """Return a gap as it was sent."""
    return {
        "skill": asked.skill,
        "priority": asked.priority,
        "description": asked.description,
    }


def question(written: Question) -> Answer:
    """Return a question."""
    return {
        "text": written.text,
        "difficulty": written.difficulty,
        "expected_points": list(written.expected_points),
        "follow_up": written.follow_up,
    }


def evaluation(judged: Evaluation) -> Answer:
    """Return a judgement's numbers and words."""
    criteria: Mapping[str, float] = judged.criteria
    return {
        "score": round(judged.score, _SCORE_DIGITS),
        "criteria": {name: round(score, _SCORE_DIGITS) for name, score in criteria.items()},
        "feedback": judged.feedback,
        "threshold": judged.threshold,
        "accepted": judged.accepted,
    }


def _resource(found: Resource) -> Answer:
    similarity = round(found.similarity, _SIMILARITY_DIGITS)
    return {"title": found.title, "kind": found.kind, "similarity": similarity}


def _milliseconds(duration: float) -> float:
    return round(duration, 3)
