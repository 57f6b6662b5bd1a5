"""Asking the composer without HTTP."""

from __future__ import annotations

from typing import Any

import orjson

from llm_simulator.answers.composer import Composer, Prompt, Reply
from llm_simulator.answers.task import Task
from llm_simulator.domain.catalogue import MODELS

COMPOSER = Composer(seed=1)
EXP, LITE = "gemini-2.0-flash-exp", "gemini-2.0-flash-lite"


def asked(
    task: Task, number: int = 0, *, model: str = EXP, quality_drop: float = 0.0
) -> tuple[Any, Reply]:
    """Return the decoded answer to a task; another ``number`` stands for another prompt."""
    prompt = Prompt(MODELS[model], [("user", f"prompt {number}")], task, quality_drop=quality_drop)
    reply = COMPOSER.reply(prompt, max_tokens=100_000)
    return orjson.loads(reply.text), reply
