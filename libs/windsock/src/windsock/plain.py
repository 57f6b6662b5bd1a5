"""Usual events: fields of exact types, within their bounds, so that checking them is quick.

They go into the buffer as they are, and the sender's thread writes them. Whatever is not as
usual here is checked by ``windsock.fields``, which decides what an event may hold. The checks
are written out because they run on each call, and they must hold for any object.
"""

from __future__ import annotations

from typing import Any

from windsock.fields import (
    LAYERS,
    MAX_DURATION_MS,
    MAX_NAME,
    MAX_SCORE,
    MAX_TOKENS,
    MISS_REASONS,
)

Values = tuple[Any, ...]

LLM_CALL = (
    "model",
    "provider",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cache_hit",
    "duration_ms",
    "cost_usd",
    "status",
    "error_type",
    "error_message",
)
QUALITY = ("score", "refined", "accepted_first_pass", "evaluator")
CACHE = ("layer", "hit", "miss_reason", "saved_ms", "saved_usd")
EXPOSURE = ("flag_key", "variant", "targeting_key")
FIELDS = {"llm_call": LLM_CALL, "quality": QUALITY, "cache": CACHE, "exposure": EXPOSURE}

_SWITCH = frozenset([bool, type(None)])
_OK = "ok"


def is_plain_llm_call(values: Values) -> bool:
    """Return whether the fields of ``LLM_CALL`` are as usual: a call that went well, no cost given."""
    (
        model,
        provider,
        given,
        made,
        read,
        written,
        thought,
        hit,
        duration,
        cost,
        status,
        kind,
        text,
    ) = values
    return (
        type(given) is type(made) is int
        and 0 <= given <= MAX_TOKENS
        and 0 <= made <= MAX_TOKENS
        and (read is None or (type(read) is int and 0 <= read <= MAX_TOKENS))
        and (written is None or (type(written) is int and 0 <= written <= MAX_TOKENS))
        and (thought is None or (type(thought) is int and 0 <= thought <= MAX_TOKENS))
        and (model is None or (type(model) is str and 0 < len(model) <= MAX_NAME))
        and (provider is None or (type(provider) is str and 0 < len(provider) <= MAX_NAME))
        and (duration is None or (type(duration) is float and 0 <= duration <= MAX_DURATION_MS))
        and type(hit) in _SWITCH
        and status is _OK
        and cost is kind is text is None
    )


def is_plain_quality(values: Values) -> bool:
    """Return whether the fields of ``QUALITY`` are as usual."""
    score, refined, accepted, evaluator = values
    return (
        type(score) is float
        and 0 <= score <= MAX_SCORE
        and type(refined) in _SWITCH
        and type(accepted) in _SWITCH
        and (evaluator is None or (type(evaluator) is str and 0 < len(evaluator) <= MAX_NAME))
    )


def is_plain_cache(values: Values) -> bool:
    """Return whether the fields of ``CACHE`` are as usual: no money saved."""
    layer, hit, reason, saved_ms, saved_usd = values
    return (
        type(layer) is str
        and layer in LAYERS
        and type(hit) is bool
        and (reason is None or (type(reason) is str and reason in MISS_REASONS))
        and (saved_ms is None or (type(saved_ms) is float and 0 <= saved_ms <= MAX_DURATION_MS))
        and saved_usd is None
    )


def is_plain_exposure(values: Values) -> bool:
    """Return whether the fields of ``EXPOSURE`` are as usual."""
    flag_key, variant, unit = values
    return (
        type(flag_key) is type(variant) is str
        and 0 < len(flag_key) <= MAX_NAME
        and 0 < len(variant) <= MAX_NAME
        and (unit is None or (type(unit) is str and 0 < len(unit) <= MAX_NAME))
    )
