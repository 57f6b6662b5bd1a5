"""The published prices: to the nano-dollar what genai-prices itself calculates."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from math import inf

import genai_prices
import pytest
from genai_prices import data_snapshot
from genai_prices.data import providers as bundled_providers

from metrics_svc.catalogue import GenaiCatalogue, Timeline
from metrics_svc.domain.price import PriceBook, RateCard
from metrics_svc.domain.price_list import OwnPrice, OwnPrices

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NANO = Decimal("1e-9")
DATES = [
    datetime(2023, 5, 1, tzinfo=UTC),
    datetime(2025, 2, 3, 2, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 9, 15, 8, tzinfo=UTC),
]
# input, cached, written, output, reasoning; thresholds of tiers lie at round numbers of input.
MIXES = [
    (1, 0, 0, 1, 0),
    (1_234, 567, 89, 345, 67),
    (128_001, 64_000, 0, 1_001, 0),
    (200_000, 150_000, 10_000, 999, 333),
    (272_001, 12_345, 6_789, 54_321, 4_321),
    (1_000_000, 0, 999_999, 8_192, 8_192),
]


# Every model's id, asked of its provider, of resellers, and of nobody in particular.
NAMES = [
    (seller, model.id + suffix)
    for provider in bundled_providers
    for model in provider.models
    for suffix in ("", "-20251211")
    for seller in (provider.id, "azure", "google", None)
]


def usage_of(mix: tuple[int, int, int, int, int]) -> genai_prices.Usage:
    return genai_prices.Usage(
        input_tokens=mix[0],
        cache_read_tokens=mix[1],
        cache_write_tokens=mix[2],
        output_tokens=mix[3],
        output_reasoning_tokens=mix[4],
    )


def nanos(usd: Decimal) -> int:
    return int(usd.quantize(NANO, ROUND_HALF_EVEN) / NANO)


def published_nanos(
    provider: str, model: str, at: datetime, mix: tuple[int, int, int, int, int]
) -> int:
    price = genai_prices.calc_price(
        usage_of(mix), model, provider_id=provider, genai_request_timestamp=at
    )
    return nanos(price.total_price)


def charged_nanos(card: RateCard, mix: tuple[int, int, int, int, int]) -> int:
    charge = card.charge(
        input_tokens=mix[0],
        cached_input_tokens=mix[1],
        cache_write_tokens=mix[2],
        output_tokens=mix[3],
        reasoning_tokens=mix[4],
    )
    return charge.cost_nanos


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(GenaiCatalogue(), OwnPrices())


def test_every_model_costs_what_the_library_says() -> None:
    differences = []
    compared = 0
    for provider in bundled_providers:
        for model in provider.models:
            timeline = Timeline("test/1", model)
            for at, mix in itertools.product(DATES, MIXES):
                card = timeline.span(at.timestamp()).card
                price = model.calc_price(usage_of(mix), provider, genai_request_timestamp=at)
                charged = 0 if card is None else charged_nanos(card, mix)
                compared += card is not None
                if charged != nanos(price.total_price):
                    differences.append((provider.id, model.id, at, mix, charged))

    assert differences == []
    assert compared > 50_000


def test_every_name_finds_the_model_that_the_library_finds() -> None:
    library = data_snapshot.DataSnapshot(providers=bundled_providers, from_auto_update=False)
    catalogue = GenaiCatalogue()
    at = NOW.timestamp()
    differences = []
    for provider, ref in NAMES:
        try:
            _, model = library.find_provider_model(ref, None, provider, None)
        except LookupError:
            continue
        if catalogue.span(provider, ref, at) != Timeline(catalogue.version, model).span(at):
            differences.append((provider, ref))

    assert differences == []
    assert len(NAMES) > 10_000


@pytest.mark.parametrize("input_tokens", [0, 200_000, 200_001, 1_000_000])
def test_tier_starts_above_its_threshold(book: PriceBook, input_tokens: int) -> None:
    card = book.resolve("google", "gemini-2.5-pro", NOW.timestamp())
    mix = (input_tokens, input_tokens // 2, 0, 1000, 0)

    assert card is not None
    assert charged_nanos(card, mix) == published_nanos("google", "gemini-2.5-pro", NOW, mix)


def test_cards_of_a_model_priced_by_the_hour_follow_one_another_without_gap(
    book: PriceBook,
) -> None:
    at = datetime(2026, 8, 16, 22, tzinfo=UTC)
    end = at + timedelta(days=2)
    starts = []
    while at < end:
        card = book.resolve("deepseek", "deepseek-v4-pro", at.timestamp())
        assert card is not None
        starts.append(at.strftime("%d %H:%M"))
        last = datetime.fromtimestamp(card.valid_until, UTC) - timedelta(microseconds=1)
        for moment in (at, last):
            expected = published_nanos("deepseek", "deepseek-v4-pro", moment, MIXES[1])
            assert charged_nanos(card, MIXES[1]) == expected
        at = datetime.fromtimestamp(card.valid_until, UTC)

    midnights_and_hours = ["01:00", "04:00", "06:00", "10:00"]
    assert starts == [
        "16 22:00",
        "17 00:00",
        *(f"17 {hour}" for hour in midnights_and_hours),
        *(f"18 {hour}" for hour in midnights_and_hours),
    ]


def test_price_change_is_at_midnight_utc(book: PriceBook) -> None:
    change = datetime(2026, 8, 17, tzinfo=UTC).timestamp()

    before = book.resolve("deepseek", "deepseek-v4-pro", change - 1e-6)
    after = book.resolve("deepseek", "deepseek-v4-pro", change)

    assert before is not None
    assert before.valid_until == change
    assert after is not None
    assert after.valid_from == change
    assert before.rates != after.rates


@pytest.mark.parametrize(
    ("provider", "model", "same_as"),
    [
        ("openai", "gpt-4o-2024-08-06", ("openai", "gpt-4o")),
        ("OpenAI", "GPT-4o", ("openai", "gpt-4o")),
        ("azure.ai.openai", "gpt-4o", ("azure", "gpt-4o")),
        ("az.ai.openai", "gpt-4o", ("azure", "gpt-4o")),
        ("azure_openai", "gpt-4o", ("azure", "gpt-4o")),
        ("azure", "azure/gpt-4o", ("azure", "gpt-4o")),
        (None, "azure/gpt-4o", ("azure", "gpt-4o")),
        (None, "gpt-4o", ("openai", "gpt-4o")),
        (None, "openai/gpt-4o", ("openai", "gpt-4o")),
        ("litellm", "azure/gpt-4o", ("azure", "gpt-4o")),
        ("litellm", "gpt-4o", ("openai", "gpt-4o")),
        ("openai", "gpt-5.2-20251211", ("openai", "gpt-5.2")),
        ("gcp.gemini", "models/gemini-2.0-flash", ("google", "gemini-2.0-flash")),
        ("gcp.vertex_ai", "gemini-2.0-flash-exp", ("google", "gemini-2.0-flash")),
        ("gcp.gen_ai", "gemini-2.0-flash", ("google", "gemini-2.0-flash")),
        (None, "models/gemini-2.0-flash", ("google", "gemini-2.0-flash")),
        ("gcp.vertex_ai", "claude-sonnet-4@20250514", ("anthropic", "claude-sonnet-4-20250514")),
        (
            "aws.bedrock",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            ("aws", "eu.anthropic.claude-sonnet-4-20250514-v1:0"),
        ),
        (
            None,
            "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
            ("aws", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ),
        ("x_ai", "grok-4", ("x-ai", "grok-4")),
        ("mistral_ai", "mistral-large-latest", ("mistral", "mistral-large-latest")),
        ("moonshot_ai", "kimi-k2", ("moonshotai", "kimi-k2")),
    ],
)
def test_names_in_use_find_their_price(
    book: PriceBook, provider: str | None, model: str, same_as: tuple[str, str]
) -> None:
    card = book.resolve(provider, model, NOW.timestamp())

    assert card is not None
    assert charged_nanos(card, MIXES[1]) == published_nanos(*same_as, NOW, MIXES[1])


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param("openai", "no-such-model", id="unknown-model"),
        pytest.param("ollama", "gpt-4o", id="unknown-provider"),
        pytest.param("openai", "gpt-5.2-20251399", id="no-date"),
        pytest.param("anthropic", "openai/gpt-4o", id="prefix-of-another"),
        pytest.param(None, "claude", id="provider-without-model"),
        pytest.param(None, "nobody/gpt-4o", id="unknown-prefix"),
        pytest.param("openai", "whisper-1", id="priced-by-the-hour"),
        pytest.param("google", "text-embedding-004", id="not-in-the-library"),
    ],
)
def test_what_the_library_cannot_price_by_token_is_unpriced(
    book: PriceBook, provider: str | None, model: str
) -> None:
    assert book.resolve(provider, model, NOW.timestamp()) is None


def test_model_sold_as_free_costs_nothing(book: PriceBook) -> None:
    card = book.resolve("openrouter", "deepseek/deepseek-r1:free", NOW.timestamp())

    assert card is not None
    assert charged_nanos(card, MIXES[1]) == 0


def test_price_of_a_request_counts_once(book: PriceBook) -> None:
    card = book.resolve("perplexity", "sonar", NOW.timestamp())

    assert card is not None
    assert charged_nanos(card, (0, 0, 0, 0, 0)) > 0


def test_own_price_gives_the_library_what_it_lacks() -> None:
    own = OwnPrice(None, "text-embedding-004", NOW, input=Decimal("0.02"), output=Decimal(0))
    prices = PriceBook(GenaiCatalogue(), OwnPrices(1, (own,)))

    card = prices.resolve("gcp.vertex_ai", "text-embedding-004", NOW.timestamp())

    assert card is not None
    assert (card.version, card.valid_until) == ("own/1", inf)
    assert charged_nanos(card, (1_000_000, 0, 0, 0, 0)) == 20_000_000


def test_card_names_the_snapshot(book: PriceBook) -> None:
    card = book.resolve("openai", "gpt-4o", NOW.timestamp())

    assert card is not None
    assert card.version == f"genai-prices/{genai_prices.__version__}"


def test_prices_set_from_outside_change_nothing() -> None:
    empty = data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    data_snapshot.set_custom_snapshot(empty)
    try:
        card = PriceBook(GenaiCatalogue(), OwnPrices()).resolve("openai", "gpt-4o", 1.75e9)
    finally:
        data_snapshot.set_custom_snapshot(None)

    assert card is not None


def test_made_up_providers_take_bounded_room() -> None:
    catalogue = GenaiCatalogue()

    for number in range(2_500):
        catalogue.provider_id(f"made-up-{number}")

    assert catalogue.provider_id("gcp.gemini") == "google"
    assert len(catalogue._providers) <= 1_000
