"""The arithmetic of a charge, against exact fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.price import Prices, rate_card

usd = st.decimals(min_value=0, max_value=1000, places=6) | st.decimals(
    min_value=0, max_value=1, places=18
)
prices = st.builds(Prices, usd, usd, usd, usd, usd)
tokens = st.integers(0, 3_000_000)

CARD = rate_card(
    "test/1",
    Prices(
        input=Decimal(3),
        output=Decimal(15),
        cached_input=Decimal("0.3"),
        cache_write=Decimal("3.75"),
        reasoning=Decimal(20),
    ),
)


def exact(price: Prices, counts: tuple[int, int, int, int, int]) -> Fraction:
    """Return nano-dollars for fresh, output, cached, written and reasoning tokens."""
    dollars = (count * Fraction(each) for count, each in zip(counts, price, strict=True))
    return sum(dollars, Fraction(0)) * 10**9 / 10**6


@given(price=prices, fresh=tokens, cached=tokens, written=tokens, answer=tokens, reasoning=tokens)
def test_cost_is_the_exact_sum_rounded_once_half_to_even(
    price: Prices, fresh: int, cached: int, written: int, answer: int, reasoning: int
) -> None:
    charge = rate_card("test/1", price).charge(
        input_tokens=fresh + cached + written,
        output_tokens=answer + reasoning,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )

    assert charge.cost_nanos == round(exact(price, (fresh, answer, cached, written, reasoning)))
    assert not charge.clamped


@given(price=prices, fresh=tokens, cached=tokens, written=tokens, output=tokens)
def test_cost_and_savings_make_the_cost_without_a_cache(
    price: Prices, fresh: int, cached: int, written: int, output: int
) -> None:
    card = rate_card("test/1", price)
    charge = card.charge(
        input_tokens=fresh + cached + written,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=0,
    )
    plain = card.charge(
        input_tokens=fresh + cached + written,
        output_tokens=output,
        cached_input_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
    )

    assert charge.cost_nanos + charge.cache_savings_nanos == plain.cost_nanos
    assert plain.cache_savings_nanos == 0


@given(price=prices, thresholds=st.sets(st.integers(1, 1000), max_size=3), input_tokens=tokens)
def test_tier_holds_for_the_whole_request(
    price: Prices, thresholds: set[int], input_tokens: int
) -> None:
    steps = [(above, Prices(*(each + above for each in price))) for above in sorted(thresholds)]
    card = rate_card("test/1", price, tiers=steps)

    charge = card.charge(
        input_tokens=input_tokens,
        output_tokens=7,
        cached_input_tokens=input_tokens // 2,
        cache_write_tokens=0,
        reasoning_tokens=0,
    )

    applied = [price, *(step for above, step in steps if input_tokens > above)][-1]
    cached = input_tokens // 2
    assert charge.cost_nanos == round(exact(applied, (input_tokens - cached, 7, cached, 0, 0)))


@pytest.mark.parametrize(
    ("price", "input_tokens", "cost"),
    [
        pytest.param("0.0005", 1, 0, id="half-down-to-even"),
        pytest.param("0.0015", 1, 2, id="half-up-to-even"),
        pytest.param("0.0025", 1, 2, id="two-and-a-half"),
        pytest.param("0.000500000000000001", 1, 1, id="just-above-half"),
        pytest.param("0.000499999999999999", 1, 0, id="just-below-half"),
    ],
)
def test_half_a_nano_dollar_goes_to_the_even_side(price: str, input_tokens: int, cost: int) -> None:
    each = Decimal(price)

    charge = rate_card("test/1", Prices(each, each, each, each, each)).charge(
        input_tokens=input_tokens,
        output_tokens=0,
        cached_input_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
    )

    assert charge.cost_nanos == cost


def test_each_class_has_its_own_price() -> None:
    charge = CARD.charge(
        input_tokens=1000,
        output_tokens=100,
        cached_input_tokens=600,
        cache_write_tokens=300,
        reasoning_tokens=40,
    )

    assert charge.cost_nanos == 100 * 3000 + 600 * 300 + 300 * 3750 + 60 * 15_000 + 40 * 20_000
    assert charge.cache_savings_nanos == 600 * (3000 - 300) - 300 * (3750 - 3000)


def test_call_that_only_fills_the_cache_saves_less_than_nothing() -> None:
    charge = CARD.charge(
        input_tokens=1000,
        output_tokens=0,
        cached_input_tokens=0,
        cache_write_tokens=1000,
        reasoning_tokens=0,
    )

    assert charge.cache_savings_nanos == -750_000


def test_more_cached_than_input_is_charged_as_cached_and_told() -> None:
    charge = CARD.charge(
        input_tokens=10,
        output_tokens=0,
        cached_input_tokens=600,
        cache_write_tokens=0,
        reasoning_tokens=0,
    )

    assert charge.clamped
    assert charge.cost_nanos == 600 * 300
    assert charge.cache_savings_nanos == 600 * (3000 - 300)


def test_more_reasoning_than_output_is_charged_as_reasoning_and_told() -> None:
    charge = CARD.charge(
        input_tokens=0,
        output_tokens=10,
        cached_input_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=40,
    )

    assert charge.clamped
    assert charge.cost_nanos == 40 * 20_000


def test_price_of_a_request_is_added_once() -> None:
    free = Prices(Decimal(0), Decimal(0), Decimal(0), Decimal(0), Decimal(0))
    card = rate_card("test/1", free, usd_per_request=Fraction(5, 1000))

    charge = card.charge(
        input_tokens=1000,
        output_tokens=1000,
        cached_input_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
    )

    assert charge.cost_nanos == 5_000_000
