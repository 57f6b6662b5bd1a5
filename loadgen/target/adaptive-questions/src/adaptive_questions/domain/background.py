"""The CV and the position as one text that is equal when they are."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from adaptive_questions.domain.gap import Brief


@dataclass(frozen=True, slots=True)
class Background:
    """What a model is told about the candidate and the position; ``digest`` stands for ``text``."""

    text: str
    digest: str


def background(brief: Brief) -> Background:
    """Return the background of ``brief``; the order of keys in its objects makes no difference."""
    candidate, position = (
        msgspec.json.encode(part, order="deterministic").decode()
        for part in (brief.parsed_cv, brief.parsed_jd)
    )
    # Not a line of JSON each: only a task is one.
    text = f"The candidate's CV: {candidate}\nThe position: {position}"
    return Background(text, blake2b(text.encode(), digest_size=16).hexdigest())
