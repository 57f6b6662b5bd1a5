from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from llm_simulator.domain.catalogue import MODELS, Usage

# USD per million tokens: input, cached input, output.
PUBLISHED = {
    "gemini-2.0-flash-exp": ("0.10", "0.025", "0.40"),
    "gemini-2.0-flash-lite": ("0.075", "0.075", "0.30"),
    "gpt-4o-mini": ("0.15", "0.075", "0.60"),
    "text-embedding-004": ("0.10", "0.10", "0"),
    "text-embedding-005": ("0.10", "0.10", "0"),
    "text-embedding-3-small": ("0.02", "0.02", "0"),
}


def test_every_model_has_a_published_price() -> None:
    assert MODELS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_cost_is_exact_to_the_nano_dollar(name: str) -> None:
    usage = Usage(input_tokens=12_347, cached_input_tokens=1_024, output_tokens=97)
    plain, cached, output = map(Decimal, PUBLISHED[name])
    usd_millionths = (12_347 - 1_024) * plain + 1_024 * cached + 97 * output

    cost = MODELS[name].cost_nanos(usage)

    assert cost == int((usd_millionths * 1000).to_integral_value(ROUND_HALF_EVEN))
