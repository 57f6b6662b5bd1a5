from __future__ import annotations

from decimal import Decimal

import pytest

from metrics_svc.domain.event import LlmCall
from tests.metrics_svc.unit.otlp_messages import mapped, span

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
STANDARD = {
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 30,
}
RAW = {
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.cache_read_input_tokens": 60,
    "gen_ai.usage.cache_creation_input_tokens": 30,
}


@pytest.mark.parametrize(
    ("provider", "counts", "scope", "convention", "tokens"),
    [
        ("openai", STANDARD, "", "total", 100),
        ("anthropic", STANDARD, "", "total", 100),
        ("openai", RAW, "", "total", 100),
        ("anthropic", RAW, "", "exclusive", 190),
        ("aws_bedrock", RAW, "", "exclusive", 190),
        ("anthropic", RAW, "opentelemetry.instrumentation.anthropic", "total", 100),
        ("anthropic", STANDARD | {"gen_ai.usage.input_tokens": 20}, "", "exclusive", 110),
        ("anthropic", {"gen_ai.usage.input_tokens": 100}, "", "unsplit", 100),
        ("openai", RAW | {"windsock.token_convention": "exclusive"}, "", "exclusive", 190),
        ("anthropic", RAW | {"windsock.token_convention": "total"}, "", "total", 100),
    ],
    ids=[
        "standard names are totals",
        "standard names are totals with Anthropic too",
        "raw names of a provider that includes the cache",
        "raw names of Anthropic",
        "raw names of Bedrock",
        "raw names of an instrumentation that adds them up",
        "parts that exceed the whole prove that they are none",
        "no cache counters",
        "sender says exclusive",
        "sender says total",
    ],
)
def test_input_contains_the_cached_tokens_once(
    provider: str, counts: dict[str, object], scope: str, convention: str, tokens: int
) -> None:
    export = mapped(span(CALL | counts | {"gen_ai.provider.name": provider}), scope=scope)

    found = export.admitted[0].events[1]
    assert isinstance(found, LlmCall)
    assert found.input_tokens == tokens
    assert (found.attributes or {})["token_convention"] == convention
    assert export.message == ""


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 60},
            (60, 60, 0, 0),
        ),
        (
            {"gen_ai.usage.output_tokens": 10, "gen_ai.usage.reasoning.output_tokens": 60},
            (0, 0, 60, 60),
        ),
        ({"gen_ai.usage.input_tokens": -1}, (0, 0, 0, 0)),
        ({"gen_ai.usage.input_tokens": 2**60}, (0, 0, 0, 0)),
        ({"gen_ai.usage.input_tokens": "many"}, (0, 0, 0, 0)),
        ({"gen_ai.usage.input_tokens": 1.5}, (0, 0, 0, 0)),
    ],
    ids=[
        "cached exceed input",
        "reasoning exceeds output",
        "negative",
        "absurd",
        "text",
        "fraction",
    ],
)
def test_counts_that_cannot_be_are_corrected_and_counted(
    counts: dict[str, object], expected: tuple[int, int, int, int]
) -> None:
    export = mapped(span(CALL | counts | {"gen_ai.provider.name": "openai"}))

    found = export.admitted[0].events[1]
    assert isinstance(found, LlmCall)
    assert expected == (
        found.input_tokens,
        found.cached_input_tokens,
        found.output_tokens,
        found.reasoning_tokens,
    )
    assert export.rejected == 0
    assert export.message == (
        "stored with corrections: 1 calls whose token counts contradict each other"
    )


def test_whole_number_sent_as_double_is_a_count() -> None:
    found = mapped(span(CALL | {"gen_ai.usage.input_tokens": 12.0})).admitted[0].events[1]

    assert isinstance(found, LlmCall)
    assert found.input_tokens == 12


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"gen_ai.usage.cost": 0.000123456}, Decimal("0.000123456")),
        ({"gen_ai.usage.total_cost": 0.1}, Decimal("0.1")),
        ({"llm.cost.total": "0.25"}, Decimal("0.25")),
        ({"gen_ai.usage.cost": 2}, Decimal(2)),
        ({"gen_ai.usage.cost": 0.0}, None),
        ({"gen_ai.usage.cost": -1.0}, None),
        ({"gen_ai.usage.cost": 1e12}, None),
        ({"gen_ai.usage.cost": "sNaN"}, None),
        ({"gen_ai.usage.cost": "cheap"}, None),
        ({"gen_ai.usage.cost": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_cost_is_what_the_sender_wrote_or_nothing(
    given: dict[str, object], cost: Decimal | None
) -> None:
    found = mapped(span(CALL | given)).admitted[0].events[1]

    assert isinstance(found, LlmCall)
    assert found.cost_usd == cost
