"""What a call costs: rate cards, their arithmetic, and the book that finds the card of a call.

Money is whole nano-dollars. A card holds its rates as integers, so a charge is
exact until its one rounding (half to even); no float takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import inf, lcm
from typing import NamedTuple, Protocol

from metrics_svc.domain.price_list import OwnPrice, OwnPrices, OwnTier

_NANOS = 1_000_000_000
_MILLION = 1_000_000
_MAX_NAMES = 10_000
_MAX_NAME_LENGTH = 256
_MAX_SPANS = 64


class Charge(NamedTuple):
    """What one call cost, in nano-dollars. A tuple, because one is made for every call.

    ``cost_nanos + cache_savings_nanos`` is what the same call would have cost
    without prompt caching, so savings are net of the surcharge on cache writes
    and negative for a call that only fills the cache. ``clamped`` tells that the
    parts (cached, cache-write, reasoning tokens) were more than their whole.
    """

    cost_nanos: int
    cache_savings_nanos: int
    clamped: bool


class Prices(NamedTuple):
    """USD per million tokens, every class filled in."""

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    reasoning: Decimal


class Rates(NamedTuple):
    """The same as integers: nano-dollars per token, times the divisor of the card."""

    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int


class Tier(NamedTuple):
    """Rates of every token of a request with more input tokens than that."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class RateCard:
    """What one model costs in ``[valid_from, valid_until)`` (epoch seconds). Made by ``rate_card``."""

    version: str
    valid_from: float
    valid_until: float
    rates: Rates
    tiers: tuple[Tier, ...]
    request: int
    divisor: int

    def charge(
        self,
        *,
        input_tokens: int,
        output_tokens: int,
        cached_input_tokens: int,
        cache_write_tokens: int,
        reasoning_tokens: int,
    ) -> Charge:
        """Price a call. Counts are >= 0; cached and written are part of input, reasoning of output.

        Where the parts exceed their whole, they are charged in full and nothing else of
        that whole is.
        """
        special = cached_input_tokens + cache_write_tokens
        uncached = input_tokens - special
        answer = output_tokens - reasoning_tokens
        clamped = uncached < 0 or answer < 0
        if clamped:
            uncached = max(uncached, 0)
            answer = max(answer, 0)

        rates = self.rates
        if self.tiers:
            rates = self._rates_at(uncached + special)
        input_rate, output_rate, cached_rate, write_rate, reasoning_rate = rates
        plain = (
            self.request
            + uncached * input_rate
            + answer * output_rate
            + reasoning_tokens * reasoning_rate
        )
        cost = plain + cached_input_tokens * cached_rate + cache_write_tokens * write_rate
        uncached_cost = plain + special * input_rate
        divisor = self.divisor
        if divisor != 1:
            cost = _divide_half_even(cost, divisor)
            uncached_cost = _divide_half_even(uncached_cost, divisor)
        return Charge(cost, uncached_cost - cost, clamped)

    def _rates_at(self, input_tokens: int) -> Rates:
        rates = self.rates
        for above, tier_rates in self.tiers:
            if input_tokens <= above:
                break
            rates = tier_rates
        return rates


def rate_card(
    version: str,
    base: Prices,
    *,
    tiers: Sequence[tuple[int, Prices]] = (),
    usd_per_request: Fraction = Fraction(0),
    valid_from: float = -inf,
    valid_until: float = inf,
) -> RateCard:
    """Make a card of exact integers, whatever the number of decimals of its prices.

    A tier holds for the whole request once the input tokens, cached ones
    included, are more than its threshold; ``tiers`` ascend by threshold.
    """
    steps = [_nanos_per_token(prices) for _, prices in [(0, base), *tiers]]
    request = usd_per_request * _NANOS
    # Prices of up to three decimals are whole nano-dollars per token: divisor 1, no division.
    divisor = lcm(request.denominator, *(rate.denominator for step in steps for rate in step))
    rates = [Rates(*(int(rate * divisor) for rate in step)) for step in steps]
    return RateCard(
        version=version,
        valid_from=valid_from,
        valid_until=valid_until,
        rates=rates[0],
        tiers=tuple(Tier(above, step) for (above, _), step in zip(tiers, rates[1:], strict=True)),
        request=int(request * divisor),
        divisor=divisor,
    )


def _nanos_per_token(prices: Prices) -> list[Fraction]:
    return [Fraction(price) * _NANOS / _MILLION for price in prices]


def _divide_half_even(amount: int, divisor: int) -> int:
    quotient, remainder = divmod(amount, divisor)
    twice = remainder + remainder
    if twice > divisor or (twice == divisor and quotient & 1):
        return quotient + 1
    return quotient


class Span(NamedTuple):
    """The answer for a model in ``[valid_from, valid_until)``; a card of None means unpriced."""

    valid_from: float
    valid_until: float
    card: RateCard | None


class Catalogue(Protocol):
    """Published prices, beneath the own ones."""

    @property
    def version(self) -> str: ...

    def provider_id(self, provider: str) -> str | None:
        """Return the catalogue's own name of a provider, None if it does not know it."""
        ...

    def span(self, provider: str | None, model: str, at: float) -> Span: ...


class _DatedPrice(NamedTuple):
    valid_from: float
    valid_until: float
    provider: str | None
    price: OwnPrice


class PriceBook:
    """Own prices over a catalogue. Immutable but for its memory of the names it was asked for.

    That memory holds the ``_MAX_NAMES`` names asked for last, known or not, in two
    generations, so that a flood of made-up names costs a look-up each and no more room.
    """

    def __init__(self, catalogue: Catalogue, own: OwnPrices) -> None:
        self.version = f"own/{own.version}+{catalogue.version}"
        self.catalogue_version = catalogue.version
        self._catalogue = catalogue
        self._own_version = f"own/{own.version}"
        self._own: dict[str, list[_DatedPrice]] = {}
        for price in own.prices:
            self._own.setdefault(price.model.lower(), []).append(_dated(price))
        self._recent: dict[tuple[str | None, str | None], tuple[Span, ...]] = {}
        self._older: dict[tuple[str | None, str | None], tuple[Span, ...]] = {}

    @property
    def remembered(self) -> int:
        """How many answers for names are held; at most ``_MAX_NAMES``."""
        return len(self._recent) + len(self._older)

    def resolve(self, provider: str | None, model: str | None, at: float) -> RateCard | None:
        """Return the card of a call at ``at`` (epoch seconds), None if the call is unpriced.

        Own prices win: those for the provider as the call spells it, then for the
        catalogue's name of that provider, then for any provider; among those in
        force at ``at``, the one that came into force last.
        """
        spans = self._recent.get((provider, model))
        if spans is not None:
            for valid_from, valid_until, card in spans:
                if valid_from <= at < valid_until:
                    return card
        if not model or len(model) > _MAX_NAME_LENGTH or len(provider or "") > _MAX_NAME_LENGTH:
            return None
        return self._look_up(provider, model, at)

    def _look_up(self, provider: str | None, model: str, at: float) -> RateCard | None:
        key = (provider, model)
        spans = self._recent.get(key) or self._older.get(key) or ()
        found = next((span for span in spans if span.valid_from <= at < span.valid_until), None)
        if found is None:
            found = self._find(provider or None, model, at)
            spans = (found, *spans[: _MAX_SPANS - 1])
        if key not in self._recent and len(self._recent) >= _MAX_NAMES // 2:
            self._older, self._recent = self._recent, {}
        self._recent[key] = spans
        return found.card

    def _find(self, provider: str | None, model: str, at: float) -> Span:
        own, valid_from, valid_until = self._own_price(provider, model, at)
        if own is not None:
            card = own_card(self._own_version, own, valid_from=valid_from, valid_until=valid_until)
            return Span(valid_from, valid_until, card)
        span = self._catalogue.span(provider, model, at)
        valid_from = max(valid_from, span.valid_from)
        valid_until = min(valid_until, span.valid_until)
        if span.card is None:
            return Span(valid_from, valid_until, None)
        card = replace(span.card, valid_from=valid_from, valid_until=valid_until)
        return Span(valid_from, valid_until, card)

    def _own_price(
        self, provider: str | None, model: str, at: float
    ) -> tuple[OwnPrice | None, float, float]:
        """Return the own price in force and the span around ``at`` in which no own price changes."""
        valid_from, valid_until = -inf, inf
        dated = self._own.get(model.lower())
        if dated is None:
            return None, valid_from, valid_until
        ranks = self._ranks(provider)
        best: tuple[tuple[int, float], OwnPrice] | None = None
        for starts, ends, owner, price in dated:
            if owner not in ranks:
                continue
            for edge in (starts, ends):
                if edge <= at:
                    valid_from = max(valid_from, edge)
                else:
                    valid_until = min(valid_until, edge)
            rank = (ranks[owner], starts)
            if starts <= at < ends and (best is None or rank > best[0]):
                best = rank, price
        return best[1] if best else None, valid_from, valid_until

    def _ranks(self, provider: str | None) -> dict[str | None, int]:
        ranks: dict[str | None, int] = {None: 0}
        if provider is not None:
            known_as = self._catalogue.provider_id(provider)
            if known_as is not None:
                ranks[known_as] = 1
            ranks[provider.lower()] = 2
        return ranks


def own_card(version: str, own: OwnPrice, *, valid_from: float, valid_until: float) -> RateCard:
    """Make the card of an own price for a span in which it is in force throughout."""
    return rate_card(
        version,
        _filled(own),
        tiers=[(tier.above_input_tokens, _filled(tier)) for tier in own.tiers],
        valid_from=valid_from,
        valid_until=valid_until,
    )


def _filled(own: OwnPrice | OwnTier) -> Prices:
    return Prices(
        input=own.input,
        output=own.output,
        cached_input=own.input if own.cached_input is None else own.cached_input,
        cache_write=own.input if own.cache_write is None else own.cache_write,
        reasoning=own.output if own.reasoning is None else own.reasoning,
    )


def _dated(price: OwnPrice) -> _DatedPrice:
    until = inf if price.effective_until is None else price.effective_until.timestamp()
    provider = None if price.provider is None else price.provider.lower()
    return _DatedPrice(price.effective_from.timestamp(), until, provider, price)
