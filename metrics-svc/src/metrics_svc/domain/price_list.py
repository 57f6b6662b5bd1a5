"""Own prices: the ones an operator sets, which win over the catalogue's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

MAX_PRICES = 5_000
MAX_TIERS = 8
MAX_NAME_LENGTH = 200
MAX_USD_PER_MILLION = Decimal(10_000)
MAX_DECIMALS = 18

CLASSES = ("input", "output", "cached_input", "cache_write", "reasoning")


class InvalidPriceError(Exception):
    """A price list that cannot be used; ``path`` names the field that is wrong."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.detail = detail


@dataclass(frozen=True, slots=True)
class OwnTier:
    """Prices of a whole request that has more than ``above_input_tokens`` input tokens."""

    above_input_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """What a model costs from ``effective_from`` on, in USD per million tokens.

    ``provider`` None stands for every provider. A class without a price is
    charged as its plain kind: cached input and cache writes as input, reasoning
    as output. A price of 0 is a price; only a model without any is unpriced.
    """

    provider: str | None
    model: str
    effective_from: datetime
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    tiers: tuple[OwnTier, ...] = ()
    effective_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OwnPrices:
    """The whole list; each change is a new version. Version 0 is the list nobody has set."""

    version: int = 0
    prices: tuple[OwnPrice, ...] = ()

    def with_prices(self, prices: Sequence[OwnPrice]) -> OwnPrices:
        """Return the next version holding exactly ``prices``, or this one if they are the same.

        Raises ``InvalidPriceError`` for the first price that is wrong.
        """
        validate(prices)
        ordered = tuple(sorted(prices, key=_identity))
        if ordered == self.prices:
            return self
        return replace(self, version=self.version + 1, prices=ordered)


def validate(prices: Sequence[OwnPrice]) -> None:
    """Raise ``InvalidPriceError`` with the path of the first field that is wrong."""
    if len(prices) > MAX_PRICES:
        raise InvalidPriceError("prices", f"at most {MAX_PRICES} prices")
    seen: dict[tuple[str, str, float], int] = {}
    for index, price in enumerate(prices):
        path = f"prices[{index}]"
        for field, detail in _problems(price):
            raise InvalidPriceError(f"{path}.{field}", detail)
        first = seen.setdefault(_identity(price), index)
        if first != index:
            detail = f"same provider, model and date as prices[{first}]"
            raise InvalidPriceError(f"{path}.effective_from", detail)


def _identity(price: OwnPrice) -> tuple[str, str, float]:
    provider = (price.provider or "").lower()
    return price.model.lower(), provider, price.effective_from.timestamp()


def _problems(price: OwnPrice) -> Iterator[tuple[str, str]]:
    yield from _name_problems("model", price.model)
    if price.provider is not None:
        yield from _name_problems("provider", price.provider)
    yield from _date_problems(price)
    yield from _amount_problems("", price)
    yield from _tier_problems(price)


def _name_problems(field: str, name: str) -> Iterator[tuple[str, str]]:
    if not name or len(name) > MAX_NAME_LENGTH:
        yield field, f"must have 1 to {MAX_NAME_LENGTH} characters"
    if name != name.strip() or not name.isprintable():
        yield field, "must be printable, without spaces around it"


def _date_problems(price: OwnPrice) -> Iterator[tuple[str, str]]:
    if price.effective_from.tzinfo is None:
        yield "effective_from", "must have an offset from UTC"
    until = price.effective_until
    if until is None:
        return
    if until.tzinfo is None:
        yield "effective_until", "must have an offset from UTC"
    elif until <= price.effective_from:
        yield "effective_until", "must be after effective_from"


def _amount_problems(prefix: str, prices: OwnPrice | OwnTier) -> Iterator[tuple[str, str]]:
    for name in CLASSES:
        amount: Decimal | None = getattr(prices, name)
        if amount is None:
            continue
        if not amount.is_finite() or not 0 <= amount <= MAX_USD_PER_MILLION:
            yield prefix + name, f"must be 0 to {MAX_USD_PER_MILLION} USD per million tokens"
        elif amount != round(amount, MAX_DECIMALS):
            yield prefix + name, f"must have at most {MAX_DECIMALS} decimals"


def _tier_problems(price: OwnPrice) -> Iterator[tuple[str, str]]:
    if len(price.tiers) > MAX_TIERS:
        yield "tiers", f"at most {MAX_TIERS} tiers"
    previous = 0
    for index, tier in enumerate(price.tiers):
        prefix = f"tiers[{index}]."
        if tier.above_input_tokens <= previous:
            yield prefix + "above_input_tokens", f"must be more than {previous}"
        previous = tier.above_input_tokens
        yield from _amount_problems(prefix, tier)
        # A class forgotten in a tier would silently cost the plain price there.
        for name in CLASSES:
            if (getattr(tier, name) is None) != (getattr(price, name) is None):
                yield prefix + name, "must be given in the tier and outside it, or in neither"
