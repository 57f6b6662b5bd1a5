"""The token counts of a span, brought to Windsock's convention: the input contains what was cached."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.fields import MAX_TOKENS
from windsock.integrations import _otel_names as names
from windsock.integrations._otel_attributes import Values
from windsock.integrations._usage import Usage

_TOTAL, _EXCLUSIVE, _UNSPLIT = "total", "exclusive", "unsplit"
# The parts of the input may have to be added, and the sum must fit an event.
_MAX_COUNT = MAX_TOKENS // 3
_EXCLUDING_PROVIDERS = frozenset({"anthropic", "aws.bedrock"})
# It spells the cache counters as Anthropic does, but adds them to the input itself.
_ADDING_SCOPE = "opentelemetry.instrumentation."


def span_usage(
    values: Values, *, provider: str | None, scope: str, stated: object
) -> tuple[Usage, str]:
    """Return the counts and the convention by which they were read, as the service would.

    ``stated`` is what the sender says of its convention, and wins. ``total`` means that its
    input contains the cached tokens, ``exclusive`` that they were added, ``unsplit`` that it
    counted none.
    """
    given, _ = _count(values, names.INPUT_TOKENS)
    output, _ = _count(values, names.OUTPUT_TOKENS)
    cached, read_name = _count(values, names.CACHE_READ_TOKENS)
    written, write_name = _count(values, names.CACHE_WRITE_TOKENS)
    reasoning, _ = _count(values, names.REASONING_TOKENS)

    cache = cached + written
    convention = _UNSPLIT
    if read_name or write_name:
        raw = read_name in names.RAW_CACHE or write_name in names.RAW_CACHE
        copied = raw and not scope.startswith(_ADDING_SCOPE)
        excludes = provider in _EXCLUDING_PROVIDERS and (copied or cache > given)
        convention = _EXCLUSIVE if excludes else _TOTAL
        if stated in (_TOTAL, _EXCLUSIVE):
            convention = str(stated)
    total = given + cache if convention == _EXCLUSIVE else given
    usage = Usage(
        input_tokens=max(total, cache),
        output_tokens=max(output, reasoning),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )
    return usage, convention


def _count(values: Values, candidates: Sequence[str]) -> tuple[int, str | None]:
    """Return the first count there is (0 where none, or no possible one), and its name."""
    for name in candidates:
        value = values.get(name)
        if value is None:
            continue
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= _MAX_COUNT:
            return value, name
        return 0, name
    return 0, None
