"""Which price a call gets: own ones over published ones, by name and date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf

import pytest

from metrics_svc.domain.price import PriceBook, Prices, RateCard, Span, rate_card
from metrics_svc.domain.price_list import OwnPrice, OwnPrices, OwnTier

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = datetime(2026, 2, 1, tzinfo=UTC)
T2 = datetime(2026, 3, 1, tzinfo=UTC)
CHANGE = datetime(2026, 1, 15, tzinfo=UTC).timestamp()


class TwoPeriods:
    """A catalogue of one model, ``known``, dearer from ``CHANGE`` on; counts its look-ups."""

    version = "published/1"

    def __init__(self) -> None:
        self.look_ups = 0

    def provider_id(self, provider: str) -> str | None:
        return {"gcp.gemini": "google", "gcp.vertex_ai": "google", "google": "google"}.get(provider)

    def span(self, provider: str | None, model: str, at: float) -> Span:
        self.look_ups += 1
        if model != "known":
            return Span(-inf, inf, None)
        if at < CHANGE:
            return Span(-inf, CHANGE, flat_card(1))
        return Span(CHANGE, inf, flat_card(2))


def flat_card(usd: int) -> RateCard:
    each = Decimal(usd)
    return rate_card("published/1", Prices(each, each, each, each, each))


def own(
    usd: int,
    *,
    model: str = "known",
    provider: str | None = None,
    since: datetime = T0,
    until: datetime | None = None,
) -> OwnPrice:
    each = Decimal(usd)
    return OwnPrice(provider, model, since, input=each, output=each, effective_until=until)


def book(*prices: OwnPrice) -> PriceBook:
    return PriceBook(TwoPeriods(), OwnPrices(7, prices))


def usd_per_million(card: RateCard | None) -> int | None:
    return None if card is None else card.rates.input // 1000


def test_own_price_wins_from_its_date_on() -> None:
    prices = book(own(50, since=T1))
    start = T1.timestamp()

    before = prices.resolve("openai", "known", start - 1e-6)
    after = prices.resolve("openai", "known", start)

    assert usd_per_million(before) == 2
    assert before is not None
    assert (before.valid_from, before.valid_until) == (CHANGE, start)
    assert usd_per_million(after) == 50
    assert after is not None
    assert (after.version, after.valid_from, after.valid_until) == ("own/7", start, inf)


def test_published_price_changes_to_the_second() -> None:
    prices = book()

    before = prices.resolve(None, "known", CHANGE - 1e-6)
    after = prices.resolve(None, "known", CHANGE)

    assert usd_per_million(before) == 1
    assert usd_per_million(after) == 2


def test_newest_own_price_wins_until_it_ends() -> None:
    prices = book(own(50, since=T0), own(60, since=T1, until=T2))

    found = [
        usd_per_million(prices.resolve(None, "known", at.timestamp()))
        for at in (T0, T1 - timedelta(microseconds=1), T1, T2 - timedelta(microseconds=1), T2)
    ]

    assert found == [50, 50, 60, 60, 50]


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        pytest.param("gcp.vertex_ai", 60, id="as-spelled"),
        pytest.param("GCP.Vertex_AI", 60, id="in-other-case"),
        pytest.param("gcp.gemini", 55, id="by-the-catalogue's-name"),
        pytest.param("openai", 50, id="any-other"),
        pytest.param(None, 50, id="none"),
        pytest.param("", 50, id="empty"),
    ],
)
def test_price_for_the_provider_wins_over_the_one_for_any(
    provider: str | None, expected: int
) -> None:
    prices = book(
        own(50, since=T2),
        own(55, provider="google", since=T1),
        own(60, provider="gcp.vertex_ai", since=T0),
    )

    assert usd_per_million(prices.resolve(provider, "known", T2.timestamp())) == expected


def test_model_of_an_own_price_matches_in_any_case_and_whole() -> None:
    prices = book(own(50, model="Text-Embedding-004"))
    at = T1.timestamp()

    assert usd_per_million(prices.resolve("google", "text-embedding-004", at)) == 50
    assert prices.resolve("google", "text-embedding-0045", at) is None


def test_price_of_nothing_is_a_price() -> None:
    card = book(own(0, model="ours")).resolve(None, "ours", T1.timestamp())

    assert card is not None
    assert card.charge(
        input_tokens=10**6,
        output_tokens=10**6,
        cached_input_tokens=5,
        cache_write_tokens=5,
        reasoning_tokens=5,
    ) == (0, 0, False)


@pytest.mark.parametrize("model", [None, "", "unknown", "x" * 10_000])
def test_model_without_a_price_is_unpriced(model: str | None) -> None:
    assert book().resolve("openai", model, T1.timestamp()) is None


def test_class_without_an_own_price_costs_what_its_whole_does() -> None:
    price = OwnPrice(
        None,
        "ours",
        T0,
        input=Decimal(2),
        output=Decimal(8),
        tiers=(OwnTier(1000, Decimal(4), Decimal(16)),),
    )
    card = book(price).resolve(None, "ours", T0.timestamp())

    assert card is not None
    assert card.rates == (2000, 8000, 2000, 2000, 8000)
    assert card.tiers == ((1000, (4000, 16_000, 4000, 4000, 16_000)),)


def test_own_class_prices_are_used() -> None:
    price = OwnPrice(
        None,
        "ours",
        T0,
        input=Decimal(2),
        output=Decimal(8),
        cached_input=Decimal(0),
        cache_write=Decimal("2.5"),
        reasoning=Decimal(9),
    )
    card = book(price).resolve(None, "ours", T0.timestamp())

    assert card is not None
    assert card.rates == (2000, 8000, 0, 2500, 9000)


def test_version_names_both_lists() -> None:
    assert book().version == "own/7+published/1"


def test_name_is_looked_up_once_in_each_period() -> None:
    catalogue = TwoPeriods()
    prices = PriceBook(catalogue, OwnPrices())

    for _ in range(3):
        prices.resolve(None, "known", CHANGE)
        prices.resolve(None, "known", CHANGE - 1)
        prices.resolve(None, "unknown", CHANGE)

    assert catalogue.look_ups == 3


def test_flood_of_names_takes_bounded_room_and_keeps_the_names_in_use() -> None:
    catalogue = TwoPeriods()
    prices = PriceBook(catalogue, OwnPrices())

    for number in range(25_000):
        prices.resolve("openai", f"made-up-{number}", CHANGE)
        prices.resolve("openai", "known", CHANGE)

    assert catalogue.look_ups == 25_001
    assert prices.remembered <= 10_000
