"""What the composition root hands to the routes."""

from __future__ import annotations

from typing import TypedDict

from adaptive_questions.bounds import Places
from adaptive_questions.domain.result import Questions


class State(TypedDict):
    """Everything a handler may use, made once for each process."""

    questions: Questions
    places: Places
    # For how long a request may be at work.
    request_timeout_seconds: float
    # For how long a stream may say nothing.
    heartbeat_seconds: float
