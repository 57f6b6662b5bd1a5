"""From a prompt to the text that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from llm_simulator import tokens
from llm_simulator.answers.instance import instance
from llm_simulator.answers.interview import Writer
from llm_simulator.answers.judge import Judge
from llm_simulator.answers.prose import prose
from llm_simulator.answers.task import (
    DeepDivePrompts,
    GenerateQuestions,
    RefineQuestions,
    Task,
)
from llm_simulator.domain.catalogue import Model
from llm_simulator.domain.draw import Draws


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: roles and texts, the task among them, and the form that the answer must have."""

    model: Model
    messages: Sequence[tuple[str, str]]
    task: Task | None = None
    schema: Mapping[str, Any] | None = None
    wants_json: bool = False
    quality_drop: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with its length in tokens and OpenAI's word for why it ends: ``stop`` or ``length``."""

    text: str
    tokens: int
    finish_reason: str


class Composer:
    """Writes answers that depend on seed, model and prompt alone."""

    def __init__(self, seed: int) -> None:
        self._draws = Draws(seed)
        self._judge = Judge(self._draws)

    def reply(self, prompt: Prompt, *, max_tokens: int, stop: Sequence[str] = ()) -> Reply:
        """Return the answer, ended before a ``stop`` text and after ``max_tokens``."""
        text = self._text(prompt)
        ends = [place for mark in stop if (place := text.find(mark)) >= 0]
        if ends:
            text = text[: min(ends)]
        length = tokens.count(text)
        if length > max_tokens:
            return Reply(tokens.head(text, max_tokens), max_tokens, "length")
        return Reply(text, length, "stop")

    def _text(self, prompt: Prompt) -> str:
        about = _digest(prompt)
        if prompt.task is not None:
            return msgspec.json.encode(self._done(prompt.task, prompt, about)).decode()
        if prompt.schema is not None:
            return msgspec.json.encode(instance(prompt.schema, self._draws, about)).decode()
        asked = next((text for role, text in reversed(prompt.messages) if role == "user"), "")
        text = prose(self._draws, about, asked)
        return msgspec.json.encode({"answer": text}).decode() if prompt.wants_json else text

    def _done(self, task: Task, prompt: Prompt, about: str) -> dict[str, Any]:
        drop = prompt.quality_drop
        writer = Writer(self._draws, about, craft=prompt.model.craft, quality_drop=drop)
        match task:
            case GenerateQuestions():
                return writer.generate(task)
            case DeepDivePrompts():
                return writer.deep_dive(task)
            case RefineQuestions():
                return writer.refine(task)
            case _:
                return self._judge.evaluate(task)


def _digest(prompt: Prompt) -> str:
    whole = blake2b(prompt.model.name.encode(), digest_size=16)
    for role, text in prompt.messages:
        whole.update(f"\0{role}\0{len(text)}\0".encode())
        whole.update(text.encode())
    return whole.hexdigest()
