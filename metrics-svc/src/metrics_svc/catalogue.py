"""Published prices: the snapshot that comes with the library ``genai-prices``.

Only the bundled data is read, so prices change with a release and never by
themselves: the library fetches newer ones when it is told to (``UpdatePrices``),
which nothing here does. Neither its ``calc_price`` nor its name look-up is used: the
look-up tries every model of a provider, and its caches keep each name they were asked for.

What a call does not say is priced at the default: the standard service tier, text
(no audio or image rates), the shorter cache lifetime, no paid tools. A model that is
sold by the second, page or character alone is unpriced here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor, inf
from typing import NamedTuple

import genai_prices
from genai_prices.data import providers as bundled_providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from metrics_svc.domain.price import Prices, RateCard, Span, rate_card

_DAY = 86_400.0
_MAX_PROVIDER_NAMES = 1_000
_ANY_PROVIDER = "litellm"

# Names that OpenTelemetry and client libraries use and genai-prices does not know, or
# takes for another provider: it reads every name with "openai" in it as OpenAI.
_ALIASES = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    "z_ai": "zai",
}

_FREE_SUFFIX = ":free"
_FREE = Prices(Decimal(0), Decimal(0), Decimal(0), Decimal(0), Decimal(0))
_UNPRICED = Span(-inf, inf, None)
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")

_Price = Decimal | TieredPrices | None


class GenaiCatalogue:
    """The bundled price list, compiled when a provider or model is first asked for."""

    def __init__(self) -> None:
        self.version = f"genai-prices/{genai_prices.__version__}"
        self._providers: dict[str, Provider | None] = {}
        self._models: dict[str, _Models] = {}
        self._timelines: dict[int, Timeline] = {}

    def provider_id(self, provider: str) -> str | None:
        """Return the library's id of a provider as OpenTelemetry or a client library names it."""
        found = self._provider(provider)
        return None if found is None else found.id

    def span(self, provider: str | None, model: str, at: float) -> Span:
        """Return the price of a model at ``at`` and how long before and after it stays.

        Without a provider, or with ``litellm``, the model's name tells it: by its own form
        (``claude-...``), or by a prefix (``azure/gpt-4o``).
        """
        found = self._model(provider, model.lower())
        if found is None:
            return _UNPRICED
        timeline = self._timelines.get(id(found))
        if timeline is None:
            timeline = self._timelines[id(found)] = Timeline(self.version, found)
        return timeline.span(at)

    def _provider(self, name: str) -> Provider | None:
        try:
            return self._providers[name]
        except KeyError:
            if len(self._providers) >= _MAX_PROVIDER_NAMES:
                self._providers.clear()
            normal = name.strip().lower()
            found = find_provider_by_id(bundled_providers, _ALIASES.get(normal, normal))
            self._providers[name] = found
            return found

    def _model(self, provider: str | None, ref: str) -> ModelInfo | None:
        if provider is None:
            return self._by_form(ref) or self._by_prefix(ref)
        found = self._provider(provider)
        if found is not None:
            return self._sold_by(found, ref) or self._by_prefix(ref, only=found)
        if provider.strip().lower() == _ANY_PROVIDER:
            return self._by_prefix(ref) or self._by_form(ref)
        return None

    def _by_form(self, ref: str) -> ModelInfo | None:
        for provider in bundled_providers:
            if provider.model_match is not None and provider.model_match.is_match(ref):
                return self._sold_by(provider, ref)
        return None

    def _by_prefix(self, ref: str, *, only: Provider | None = None) -> ModelInfo | None:
        head, _, name = ref.partition("/")
        if not name:
            return None
        provider = self._provider(head)
        if provider is None or only not in (None, provider):
            return None
        return self._sold_by(provider, name)

    def _sold_by(self, provider: Provider, ref: str) -> ModelInfo | None:
        found = self._first_match(provider, ref)
        if found is not None:
            return found
        dashed = _COMPACT_DATE.sub(_dashed, ref)
        return None if dashed == ref else self._first_match(provider, dashed)

    def _first_match(self, provider: Provider, ref: str) -> ModelInfo | None:
        for seller in (provider.id, *(provider.fallback_model_providers or ())):
            models = self._models.get(seller)
            if models is None:
                sold = next(known.models for known in bundled_providers if known.id == seller)
                models = self._models[seller] = _Models(sold)
            found = models.first_match(ref)
            if found is not None:
                return found
        return None


class _Models:
    """The models of one provider; finds the first that matches without trying each in turn.

    Nearly all clauses are exact names, and those are one look-up.
    """

    def __init__(self, models: Sequence[ModelInfo]) -> None:
        self._models = models
        self._by_name: dict[str, int] = {}
        self._tests: list[tuple[int, MatchLogic]] = []
        for index, model in enumerate(models):
            for clause in _alternatives(model.match):
                if isinstance(clause, ClauseEquals):
                    self._by_name.setdefault(clause.equals.lower(), index)
                else:
                    self._tests.append((index, clause))

    def first_match(self, ref: str) -> ModelInfo | None:
        named = self._by_name.get(ref, len(self._models))
        for index, clause in self._tests:
            if index >= named:
                break
            if clause.is_match(ref):
                return self._models[index]
        return self._models[named] if named < len(self._models) else None


def _alternatives(clause: MatchLogic) -> Iterator[MatchLogic]:
    if isinstance(clause, ClauseOr):
        for alternative in clause.or_:
            yield from _alternatives(alternative)
    else:
        yield clause


def _dashed(match: re.Match[str]) -> str:
    # LiteLLM and OpenRouter write gpt-5.2-20251211 for gpt-5.2-2025-12-11.
    year, month, day = match.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return match[0]
    return f"-{year}-{month}-{day}"


class _Changes(NamedTuple):
    """When the conditions of a model's prices change: at days (epoch), and each day (seconds, UTC)."""

    dated: list[float]
    daily: list[float]


class Timeline:
    """The prices of one model of the library over time."""

    def __init__(self, version: str, model: ModelInfo) -> None:
        self._version = version
        self._model = model
        conditions = model.prices if isinstance(model.prices, list) else []
        self._changes = _changes(conditions)
        self._priced = not isinstance(model.prices, list) or bool(conditions)
        self._cards: dict[int, RateCard | None] = {}

    def span(self, at: float) -> Span:
        if not self._priced:
            return _UNPRICED
        starts, ends = _around(self._changes, at)
        # Within the span every moment has the same price, so the library is asked for one of them.
        moment = starts if starts > -inf else ends - _DAY if ends < inf else 0.0
        price = self._model.get_prices(datetime.fromtimestamp(moment, UTC))
        key = id(price)
        if key not in self._cards:
            self._cards[key] = self._card(price)
        return Span(starts, ends, self._cards[key])

    def _card(self, price: ModelPrice) -> RateCard | None:
        classes = (
            price.input_mtok,
            price.output_mtok,
            price.cache_read_mtok,
            price.cache_write_mtok,
            price.output_reasoning_mtok,
        )
        if classes[:2] == (None, None):
            # No price at all can mean free, retired or unknown. Only the name tells.
            free = self._model.id.endswith(_FREE_SUFFIX)
            return rate_card(self._version, _FREE) if free else None
        thresholds = sorted({start for price in classes for start in _thresholds(price)})
        return rate_card(
            self._version,
            _prices_at(0, *classes),
            tiers=[(start, _prices_at(start + 1, *classes)) for start in thresholds],
            usd_per_request=Fraction(_at(price.requests_kcount, 0) or 0) / 1000,
        )


def _changes(conditions: Sequence[ConditionalPrice]) -> _Changes:
    dated: set[float] = set()
    daily: set[float] = set()
    for condition in conditions:
        constraint = condition.constraint
        if isinstance(constraint, StartDateConstraint):
            midnight = datetime.combine(constraint.start_date, time(), UTC)
            dated.add(midnight.timestamp())
        elif isinstance(constraint, TimeOfDateConstraint):
            daily |= {_second_of_day(constraint.start_time), _second_of_day(constraint.end_time)}
    return _Changes(sorted(dated), sorted(daily))


def _second_of_day(moment: time) -> float:
    on_a_day = datetime.combine(date(1970, 1, 2), moment)
    aware = on_a_day if on_a_day.tzinfo else on_a_day.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1) % _DAY


def _around(changes: _Changes, at: float) -> tuple[float, float]:
    edges = [-inf, *changes.dated, inf]
    after = bisect_right(edges, at)
    starts, ends = edges[after - 1], edges[min(after, len(edges) - 1)]
    if changes.daily:
        midnight = floor(at / _DAY) * _DAY
        days = (midnight - _DAY, midnight, midnight + _DAY)
        edges = [day + second for day in days for second in changes.daily]
        after = bisect_right(edges, at)
        starts, ends = max(starts, edges[after - 1]), min(ends, edges[after])
    return starts, ends


def _thresholds(price: _Price) -> list[int]:
    return [tier.start for tier in price.tiers] if isinstance(price, TieredPrices) else []


def _prices_at(
    input_tokens: int,
    fresh: _Price,
    output: _Price,
    cache_read: _Price,
    cache_write: _Price,
    reasoning: _Price,
) -> Prices:
    """Fill in the classes without a price as the library counts them: within input, or output."""
    input_price = _at(fresh, input_tokens) or Decimal(0)
    output_price = _at(output, input_tokens) or Decimal(0)
    read, write = _at(cache_read, input_tokens), _at(cache_write, input_tokens)
    thought = _at(reasoning, input_tokens)
    return Prices(
        input=input_price,
        output=output_price,
        cached_input=input_price if read is None else read,
        cache_write=input_price if write is None else write,
        reasoning=output_price if thought is None else thought,
    )


def _at(price: _Price, input_tokens: int) -> Decimal | None:
    if not isinstance(price, TieredPrices):
        return price
    applied = price.base
    for tier in price.tiers:
        if input_tokens > tier.start:
            applied = tier.price
    return applied
