"""Token counts of a model call, read from what OpenAI-compatible APIs and LangChain report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call. Cached and written tokens are part of the input, reasoning of the output.

    ``cached_input_tokens`` is ``None`` where the provider said nothing of its cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int | None = None
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def field(value: object, name: str) -> Any:
    """Return an entry of a mapping or an attribute of an object, ``None`` where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def openai_usage(reported: object) -> Usage | None:
    """Read the ``usage`` of an OpenAI-compatible answer, in the words of either of its APIs.

    Some providers leave reasoning tokens out of the output and count them in the total
    alone (xAI, Gemini), yet charge them: there the output is what the total leaves.
    """
    given = _count(reported, "prompt_tokens", "input_tokens")
    if given is None:
        return None
    read = field(reported, "prompt_tokens_details") or field(reported, "input_tokens_details")
    written = field(reported, "completion_tokens_details") or field(
        reported, "output_tokens_details"
    )
    output = _count(reported, "completion_tokens", "output_tokens")
    total = _count(reported, "total_tokens") or 0
    reasoning = _count(written, "reasoning_tokens") or 0
    if output is not None and total > given + output:
        reasoning = max(reasoning, total - given - output)
        output = total - given
    return Usage(
        input_tokens=given,
        output_tokens=output or 0,
        cached_input_tokens=_count(read, "cached_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens") or 0,
        reasoning_tokens=reasoning,
    )


def langchain_usage(metadata: object) -> Usage | None:
    """Read LangChain's ``usage_metadata``, whose input contains what was cached, whoever the provider is."""
    given = _count(metadata, "input_tokens")
    if given is None:
        return None
    read = field(metadata, "input_token_details")
    # Anthropic's by lifetime stand beside the sum, which is 0 then.
    writes = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    return Usage(
        input_tokens=given,
        output_tokens=_count(metadata, "output_tokens") or 0,
        cached_input_tokens=_count(read, "cache_read"),
        cache_write_tokens=sum(_count(read, name) or 0 for name in writes),
        reasoning_tokens=_count(field(metadata, "output_token_details"), "reasoning") or 0,
    )


def _count(value: object, *names: str) -> int | None:
    for name in names:
        count = field(value, name)
        if type(count) is int and count >= 0:
            return count
    return None
