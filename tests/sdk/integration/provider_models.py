"""Chat models for LangChain that answer without a provider, and tell of their tokens as one would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

USAGE: UsageMetadata = {
    "input_tokens": 1200,
    "output_tokens": 150,
    "total_tokens": 1350,
    "input_token_details": {"cache_read": 1024},
    "output_token_details": {"reasoning": 40},
}
MODEL = "gpt-4o-mini-2024-07-18"


class AnsweringModel(BaseChatModel):
    """Says ``hello`` in two pieces. ``error`` is raised instead, or between them where it streams."""

    usage: UsageMetadata | None = USAGE
    pause_seconds: float = 0.0
    error: BaseException | None = None

    @property
    def _llm_type(self) -> str:
        return "answering"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="openai", ls_model_name="gpt-4o-mini", ls_model_type="chat"
        )

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        time.sleep(self.pause_seconds)
        return self._result()

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(self.pause_seconds)
        return self._result()

    def _result(self) -> ChatResult:
        if self.error is not None:
            raise self.error
        message = AIMessage(
            "hello", usage_metadata=self.usage, response_metadata={"model_name": MODEL}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        time.sleep(self.pause_seconds)
        for chunk in self._chunks():
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        await asyncio.sleep(self.pause_seconds)
        for chunk in self._chunks():
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content="hel"))
        if self.error is not None:
            raise self.error
        last = AIMessageChunk(
            content="lo", usage_metadata=self.usage, response_metadata={"model_name": MODEL}
        )
        yield ChatGenerationChunk(message=last)
