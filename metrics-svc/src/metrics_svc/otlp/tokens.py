"""The token counts of one model call, brought to Windsock's convention: the input contains what the cache served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metrics_svc.domain.event import MAX_TOKENS
from metrics_svc.otlp import names
from metrics_svc.otlp.attributes import Values

TOTAL = "total"
EXCLUSIVE = "exclusive"
UNSPLIT = "unsplit"

# The parts of the input may have to be added, and the sum must fit an event.
_MAX_COUNT = MAX_TOKENS // 3
_EXCLUDING_PROVIDERS = frozenset({"anthropic", "aws.bedrock"})
# OpenLLMetry spells the cache counters as Anthropic does, but adds them to the input itself.
_ADDING_SCOPES = ("opentelemetry.instrumentation.",)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts and the rule by which they were read.

    ``convention`` is ``total`` (the sender's input contains the cached tokens), ``exclusive`` (it did not, they were
    added) or ``unsplit`` (no cache counter was sent, so a cost made from these is an upper bound). ``violated`` says
    that the counts contradicted each other, or were none, and were corrected.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    convention: str
    violated: bool


def usage_of(values: Values, *, provider: str | None, scope: str, stated: object) -> Usage:
    """Read the counts of a call by ``provider``, sent by the instrumentation ``scope``.

    ``stated`` is what the sender says of its own convention, and wins. Else cache counters under the standard's or
    OpenInference's names are part of the input, as both demand. Under names copied from the provider they are not,
    for the two providers that report them so. Last, where the parts exceed the whole, the numbers themselves prove
    for those two that they are none; for all others the input is raised to its parts and the violation noted.
    """
    given, _, bad_input = _count(values, names.INPUT_TOKENS)
    output, _, bad_output = _count(values, names.OUTPUT_TOKENS)
    cached, read_name, bad_cached = _count(values, names.CACHE_READ_TOKENS)
    written, write_name, bad_written = _count(values, names.CACHE_WRITE_TOKENS)
    reasoning, _, bad_reasoning = _count(values, names.REASONING_TOKENS)
    impossible = bad_input or bad_output or bad_cached or bad_written or bad_reasoning

    cache = cached + written
    convention = UNSPLIT
    if read_name or write_name:
        raw = read_name in names.RAW_CACHE_NAMES or write_name in names.RAW_CACHE_NAMES
        copied = raw and not scope.startswith(_ADDING_SCOPES)
        convention = _convention(
            stated, excludes=provider in _EXCLUDING_PROVIDERS and (copied or cache > given)
        )
    total = given + cache if convention == EXCLUSIVE else given
    return Usage(
        input_tokens=max(total, cache),
        output_tokens=max(output, reasoning),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        convention=convention,
        violated=impossible or cache > total or reasoning > output,
    )


def _convention(stated: object, *, excludes: bool) -> str:
    if stated in (TOTAL, EXCLUSIVE):
        return str(stated)
    return EXCLUSIVE if excludes else TOTAL


def _count(values: Values, candidates: Sequence[str]) -> tuple[int, str | None, bool]:
    """Return the first count there is (0 where none), its name, and whether it was no possible count."""
    for name in candidates:
        value = values.get(name)
        if value is None:
            continue
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= _MAX_COUNT:
            return value, name, False
        return 0, name, True
    return 0, None, False
