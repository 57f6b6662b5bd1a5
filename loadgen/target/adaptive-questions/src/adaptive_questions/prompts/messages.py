"""The messages of a call, and the order in which they stand."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from adaptive_questions.domain.background import Background

INSTRUCTIONS: Final = files("adaptive_questions").joinpath("prompts/instructions.md").read_text()


def messages(
    task: str, background: Background, *, stable_prefix: bool
) -> list[ChatCompletionMessageParam]:
    """Return the messages for ``task``, a line of JSON.

    Providers charge less for a beginning that they have just seen. With ``stable_prefix`` what
    all calls share comes first, then what the calls of a request share, and the task last.
    Without it the task comes first, and no two beginnings are alike.
    """
    rules = ChatCompletionSystemMessageParam(role="system", content=INSTRUCTIONS)
    about = ChatCompletionUserMessageParam(role="user", content=background.text)
    work = ChatCompletionUserMessageParam(role="user", content=task)
    return [rules, about, work] if stable_prefix else [work, about, rules]
