"""Prices as they travel: USD per million tokens, as exact JSON numbers (strings are taken too)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from math import isfinite
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta
from starlette.datastructures import QueryParams

from metrics_svc.domain.event import Name
from metrics_svc.domain.price import PriceBook, RateCard, Rates
from metrics_svc.domain.price_list import CLASSES, InvalidPriceError, OwnPrice, OwnTier
from metrics_svc.domain.repricing import Outcome
from metrics_svc.store.prices import MAX_VERSION, PriceList, PriceVersion
from windsock_kit.decoding import reading_json
from windsock_kit.errors import InvalidError

UNIT = "_usd_per_mtok"
LOOKUP = ("model", "provider", "at")
PAGE = ("before", "limit")
MAX_PAGE = 200
MAX_UNPRICED_NAMES = 100
FIRST_YEAR, LAST_YEAR = 1970, 9998
_ALWAYS = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)

Answer = dict[str, Any]
_Moment = Annotated[datetime, Meta(tz=True)]


class _Amounts(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cached_input_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None
    reasoning_usd_per_mtok: Decimal | None = None


class _Tier(_Amounts, kw_only=True):
    above_input_tokens: int


class _Price(_Amounts, kw_only=True):
    model: str
    provider: str | None = None
    effective_from: _Moment = _ALWAYS
    effective_until: _Moment | None = None
    tiers: list[_Tier] = []


class _Prices(msgspec.Struct, forbid_unknown_fields=True):
    prices: list[_Price]
    set_by: Name | None = None


class _Reprice(msgspec.Struct, forbid_unknown_fields=True):
    begin: _Moment = msgspec.field(name="from")
    end: _Moment = msgspec.field(name="to")
    provider: Name | None = None
    model: Name | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class NewPrices:
    """The whole list that is to be in force, and who says so."""

    prices: list[OwnPrice]
    set_by: str | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """Whose price is asked for, and when (``None``: now)."""

    model: str
    provider: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class RepriceRequest:
    """To which calls prices shall be applied again."""

    begin: datetime
    end: datetime
    provider: str | None
    model: str | None
    dry_run: bool


_prices_decoder = msgspec.json.Decoder(_Prices)
_reprice_decoder = msgspec.json.Decoder(_Reprice)


def parse_prices(body: bytes) -> NewPrices:
    """Decode the body of ``PUT /api/metrics/prices``; what the price list itself refuses is checked later."""
    found: _Prices = _decode(_prices_decoder, body)
    _check_text("set_by", found.set_by)
    prices = [_own_price(f"prices[{index}]", given) for index, given in enumerate(found.prices)]
    return NewPrices(prices, found.set_by)


def parse_reprice(body: bytes, *, longest: timedelta) -> RepriceRequest:
    """Decode the body of ``POST /api/metrics/prices/reprice``, for a range of at most ``longest``."""
    found: _Reprice = _decode(_reprice_decoder, body)
    begin, end = _utc("from", found.begin), _utc("to", found.end)
    if begin >= end:
        raise InvalidError("from must be before to", path="from")
    if end - begin > longest:
        days = longest / timedelta(days=1)
        raise InvalidError(
            f"calls are kept for {days:g} days; a longer range is not possible",
            path="from",
            allowed=[f"at most {days:g} days before to"],
        )
    _check_text("provider", found.provider)
    _check_text("model", found.model)
    return RepriceRequest(begin, end, found.provider, found.model, found.dry_run)


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        with reading_json(body):
            return decoder.decode(body)
    except InvalidError as error:
        if error.path is None or "unknown field" not in error.detail:
            raise
        allowed = _fields(decoder.type, error.path)
        raise InvalidError(error.detail, path=error.path, allowed=allowed) from None


def _fields(body: type, path: str) -> Sequence[str]:
    depth: dict[bool, type[msgspec.Struct]] = {True: _Tier, False: _Price}
    struct = depth["tiers[" in path] if path.startswith("prices[") else body
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _check_text(path: str, text: str | None) -> None:
    if text is not None and "\0" in text:
        raise InvalidError("the character U+0000 is not allowed", path=path)


def _utc(path: str, moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidError(
            f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}",
            path=path,
            allowed=[f"{FIRST_YEAR} to {LAST_YEAR}"],
        )
    return moment.astimezone(UTC)


def _own_price(path: str, given: _Price) -> OwnPrice:
    until = given.effective_until
    return OwnPrice(
        provider=given.provider,
        model=given.model,
        effective_from=_utc(f"{path}.effective_from", given.effective_from),
        effective_until=None if until is None else _utc(f"{path}.effective_until", until),
        tiers=tuple(OwnTier(tier.above_input_tokens, *_amounts(tier)) for tier in given.tiers),
        **dict(zip(CLASSES, _amounts(given), strict=True)),
    )


def _amounts(given: _Amounts) -> Any:
    return [getattr(given, name + UNIT) for name in CLASSES]


def invalid(error: InvalidPriceError) -> InvalidError:
    """Return the answer to a price that is wrong, with the field as it is called on the wire."""
    parent, dot, field = error.path.rpartition(".")
    return InvalidError(
        error.detail, path=parent + dot + (field + UNIT if field in CLASSES else field)
    )


def parse_lookup(given: QueryParams) -> Lookup | None:
    """Return whose price the query asks for, ``None`` if it asks for the list."""
    _check_known(given, LOOKUP)
    if not given:
        return None
    if "model" not in given:
        raise InvalidError("provider and at need a model", path="model", allowed=LOOKUP)
    found: dict[str, str] = {}
    for name in ("model", "provider"):
        if name in given:
            found[name] = _convert(name, given[name], Name)
    # A plus sign that was not escaped arrives as a space.
    at = _convert("at", given["at"].replace(" ", "+"), _Moment) if "at" in given else None
    return Lookup(found["model"], found.get("provider"), None if at is None else _utc("at", at))


def parse_page(given: QueryParams) -> tuple[int | None, int]:
    """Return (only versions before, at most so many)."""
    _check_known(given, PAGE)
    before = _whole("before", given["before"], MAX_VERSION) if "before" in given else None
    return before, _whole("limit", given.get("limit", "50"), MAX_PAGE)


def _check_known(given: QueryParams, allowed: Sequence[str]) -> None:
    for name in given:
        if name not in allowed:
            raise InvalidError(
                f"unknown parameter {name[:50]!r}; allowed: {', '.join(allowed)}",
                path=name[:50],
                allowed=allowed,
            )
        if len(given.getlist(name)) > 1:
            raise InvalidError(f"{name} is given more than once", path=name)


def _whole(name: str, text: str, most: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= most:
        return int(text)
    raise InvalidError(
        f"{name} must be a whole number from 1 to {most}, got {text[:50]!r}",
        path=name,
        allowed=[f"1 to {most}"],
    )


def _convert(path: str, text: str, to: Any) -> Any:
    try:
        return msgspec.convert(text, to)
    except msgspec.ValidationError as error:
        raise InvalidError(str(error), path=path) from None


def price_list(found: PriceList, book: PriceBook, *, model: str | None = None) -> Answer:
    """Tell the own prices and what lies beneath them; with ``model``, those of this model alone."""
    name, _, release = book.catalogue_version.partition("/")
    return {
        **one_version(found, model=model),
        "price_version": book.version,
        "catalogue": {"name": name, "version": release},
    }


def one_version(found: PriceList, *, model: str | None = None) -> Answer:
    """Tell one version of the own prices."""
    prices = found.own.prices
    if model is not None:
        prices = tuple(price for price in prices if price.model.lower() == model.lower())
    return {
        "version": found.own.version,
        "set_at": found.set_at,
        "set_by": found.set_by,
        "prices": [_price(price) for price in prices],
    }


def history(found: Sequence[PriceVersion]) -> Answer:
    """Tell the versions of the own prices."""
    return {
        "versions": [
            {"version": v.version, "prices": v.size, "set_at": v.set_at, "set_by": v.set_by}
            for v in found
        ]
    }


def _price(price: OwnPrice) -> Answer:
    return {
        "provider": price.provider,
        "model": price.model,
        "effective_from": price.effective_from,
        "effective_until": price.effective_until,
        **_told(price),
        "tiers": [
            {"above_input_tokens": tier.above_input_tokens, **_told(tier)} for tier in price.tiers
        ],
    }


def _told(prices: OwnPrice | OwnTier) -> Answer:
    return {name + UNIT: number(getattr(prices, name)) for name in CLASSES}


def number(amount: Decimal | None) -> orjson.Fragment | None:
    """Return an amount as a JSON number with all its digits."""
    return None if amount is None else orjson.Fragment(format(amount.normalize(), "f"))


def usd(nanos: int) -> orjson.Fragment | None:
    """Return nano-dollars as an exact number of dollars."""
    with localcontext(prec=60):
        return number(Decimal(nanos).scaleb(-9))


def resolved(lookup: Lookup, at: datetime, card: RateCard | None) -> Answer:
    """Tell what a model costs at a moment, and from when until when it does."""
    answer: Answer = {
        "provider": lookup.provider,
        "model": lookup.model,
        "at": at,
        "priced": card is not None,
    }
    if card is None:
        return answer
    return answer | {
        "source": "own" if card.version.startswith("own/") else "catalogue",
        "price_version": card.version,
        "valid_from": _instant(card.valid_from),
        "valid_until": _instant(card.valid_until),
        **_rates(card, card.rates),
        "usd_per_request": _dollars(card.request, card.divisor * 10**9),
        "tiers": [
            {"above_input_tokens": tier.above_input_tokens, **_rates(card, tier.rates)}
            for tier in card.tiers
        ],
    }


def _rates(card: RateCard, rates: Rates) -> Answer:
    # Nano-dollars per token are thousandths of dollars per million tokens.
    return {
        name + UNIT: _dollars(rate, card.divisor * 1_000)
        for name, rate in zip(CLASSES, rates, strict=True)
    }


def _dollars(amount: int, divisor: int) -> orjson.Fragment | None:
    with localcontext(prec=60):
        return number(Decimal(amount) / divisor)


def _instant(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isfinite(seconds) else None


def outcome(
    found: Outcome, asked: RepriceRequest, *, done_until: datetime, price_version: str
) -> Answer:
    """Tell what applying prices again has done, or would do."""
    complete = done_until >= asked.end
    return {
        "from": asked.begin,
        "to": asked.end,
        "dry_run": asked.dry_run,
        "price_version": price_version,
        "complete": complete,
        "next_from": None if complete else done_until,
        "examined": found.examined,
        "changed": found.due if asked.dry_run else found.changed,
        "cost_before_usd": usd(found.cost_before_nanos),
        "cost_after_usd": usd(found.cost_after_nanos),
        "still_unpriced": found.still_unpriced,
        "unpriced_models": [
            {"provider": provider, "model": model, "calls": calls}
            for (provider, model), calls in found.unpriced_models.most_common(MAX_UNPRICED_NAMES)
        ],
    }
