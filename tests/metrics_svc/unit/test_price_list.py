"""The list of own prices: what it refuses, and when it is a new version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from metrics_svc.domain.price_list import InvalidPriceError, OwnPrice, OwnPrices, OwnTier

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = OwnPrice("google", "text-embedding-004", T0, input=Decimal("0.02"), output=Decimal(0))
CACHED = replace(PRICE, cached_input=Decimal("0.01"))
ONE = Decimal(1)


def test_change_makes_the_next_version() -> None:
    first = OwnPrices().with_prices([PRICE])
    second = first.with_prices([])

    assert (first.version, first.prices) == (1, (PRICE,))
    assert (second.version, second.prices) == (2, ())


def test_same_prices_in_another_order_are_the_same_version() -> None:
    other = replace(PRICE, model="a-model")
    first = OwnPrices().with_prices([PRICE, other])

    assert first.with_prices([other, PRICE]) is first


@pytest.mark.parametrize(
    ("price", "path"),
    [
        pytest.param(replace(PRICE, model=""), "model", id="empty-model"),
        pytest.param(replace(PRICE, model="x" * 201), "model", id="long-model"),
        pytest.param(replace(PRICE, model=" gpt-4o"), "model", id="space-before"),
        pytest.param(replace(PRICE, model="gpt\n4o"), "model", id="newline"),
        pytest.param(replace(PRICE, provider=""), "provider", id="empty-provider"),
        pytest.param(
            replace(PRICE, effective_from=T0.replace(tzinfo=None)), "effective_from", id="no-offset"
        ),
        pytest.param(
            replace(PRICE, effective_until=T0.replace(tzinfo=None)),
            "effective_until",
            id="until-without-offset",
        ),
        pytest.param(replace(PRICE, effective_until=T0), "effective_until", id="ends-at-start"),
        pytest.param(replace(PRICE, input=Decimal(-1)), "input", id="negative"),
        pytest.param(replace(PRICE, output=Decimal("NaN")), "output", id="nan"),
        pytest.param(replace(PRICE, output=Decimal("Infinity")), "output", id="infinite"),
        pytest.param(replace(PRICE, input=Decimal(10_001)), "input", id="too-dear"),
        pytest.param(replace(PRICE, reasoning=Decimal("1e-19")), "reasoning", id="too-fine"),
        pytest.param(replace(PRICE, tiers=(OwnTier(1, ONE, ONE),) * 9), "tiers", id="many-tiers"),
        pytest.param(
            replace(PRICE, tiers=(OwnTier(0, ONE, ONE),)),
            "tiers[0].above_input_tokens",
            id="tier-at-zero",
        ),
        pytest.param(
            replace(PRICE, tiers=(OwnTier(5, ONE, ONE), OwnTier(5, ONE, ONE))),
            "tiers[1].above_input_tokens",
            id="tiers-not-ascending",
        ),
        pytest.param(
            replace(PRICE, tiers=(OwnTier(5, Decimal(-1), ONE),)), "tiers[0].input", id="tier-price"
        ),
        pytest.param(
            replace(CACHED, tiers=(OwnTier(5, ONE, ONE),)), "tiers[0].cached_input", id="tier-class"
        ),
    ],
)
def test_wrong_price_is_refused_with_its_path(price: OwnPrice, path: str) -> None:
    with pytest.raises(InvalidPriceError) as refused:
        OwnPrices().with_prices([replace(PRICE, model="fine"), price])

    assert refused.value.path == f"prices[1].{path}"


def test_second_price_of_a_model_for_the_same_moment_is_refused() -> None:
    same = replace(
        PRICE,
        provider="Google",
        model="Text-Embedding-004",
        effective_from=T0.astimezone(timezone(timedelta(hours=2))),
    )

    with pytest.raises(InvalidPriceError, match=r"same provider, model and date as prices\[0\]"):
        OwnPrices().with_prices([PRICE, same])


def test_too_long_a_list_is_refused() -> None:
    prices = [replace(PRICE, model=f"m{number}") for number in range(5001)]

    with pytest.raises(InvalidPriceError) as refused:
        OwnPrices().with_prices(prices)

    assert refused.value.path == "prices"
