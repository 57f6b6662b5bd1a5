"""Bodies of requests, as small as may be."""

from __future__ import annotations

PREFIX = "/api/adaptive-questions"

BRIEF: dict[str, dict[str, object]] = {
    "parsed_cv": {"skills": ["Docker"]},
    "parsed_jd": {"title": "Engineer"},
}
GAP = {"skill": "Kubernetes", "priority": "HIGH"}
ONE: dict[str, object] = {**BRIEF, "gap": GAP}
BODIES: dict[str, dict[str, object]] = {
    "batch-generate": {**BRIEF, "gaps": [GAP]},
    "generate": ONE,
    "generate/stream": ONE,
    "refine": ONE | {"question": "What?", "feedback": "Too broad"},
    "evaluate": ONE | {"question": "What?"},
}


def batch_of(*skills: str) -> dict[str, object]:
    """Return the body of a batch with a gap for each skill."""
    return {**BRIEF, "gaps": [{"skill": skill, "priority": "HIGH"} for skill in skills]}
