"""``/api/metrics/prices``: own prices, their history, the price of one model, and prices applied again."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import InvalidPriceError, OwnPrices
from metrics_svc.state import State
from metrics_svc.store.calls import Selection
from metrics_svc.store.prices import PriceList
from metrics_svc.wire import prices as wire
from windsock_kit.body import read_body
from windsock_kit.errors import NotFoundError
from windsock_kit.preconditions import PreconditionFailedError
from windsock_kit.responses import json

# The most prices that are allowed take about a megabyte; each is an object in memory before it is counted.
_MAX_PRICES_BYTES = 4 * 2**20
_MAX_REPRICE_BYTES = 10_000


async def prices(request: Request[State]) -> Response:
    """Tell or replace the own prices: one route, so that a refused method learns of both."""
    return await (replace if request.method == "PUT" else show)(request)


async def show(request: Request[State]) -> Response:
    """Tell the own prices; with ``model``, what that model costs."""
    lookup = wire.parse_lookup(request.query_params)
    found, book = await request.state["prices"].current()
    if lookup is None:
        return json(wire.price_list(found, book), headers=_etag(book))
    at = lookup.at or request.state["clock"]()
    card = book.resolve(lookup.provider, lookup.model, at.timestamp())
    answer = wire.price_list(found, book, model=lookup.model)
    return json(answer | {"resolved": wire.resolved(lookup, at, card)}, headers=_etag(book))


async def replace(request: Request[State]) -> Response:
    """Put a list of own prices in force in place of the one before."""
    state = request.state
    body = await read_body(
        request, max_bytes=_MAX_PRICES_BYTES, max_decompressed_bytes=_MAX_PRICES_BYTES
    )
    wanted = wire.parse_prices(body)
    is_expected = _expected(request.headers.get("if-match"))

    def change(held: PriceList, book: PriceBook) -> OwnPrices:
        if not is_expected(book):
            raise PreconditionFailedError(
                f"the prices in force are {_etag(book)['ETag']}; read them again",
                extra={"current": _etag(book)["ETag"]},
            )
        return held.own.with_prices(wanted.prices)

    try:
        found, book = await state["prices"].change(change, set_by=wanted.set_by)
    except InvalidPriceError as error:
        raise wire.invalid(error) from None
    return json(wire.price_list(found, book), headers=_etag(book))


def _etag(book: PriceBook) -> dict[str, str]:
    return {"ETag": f'"{book.version}"'}


def _expected(if_match: str | None) -> Callable[[PriceBook], bool]:
    if if_match is None or if_match.strip() == "*":
        return lambda _: True
    # A gateway that compresses makes the tag a weak one (W/"..."); it names the same prices.
    tags = {tag.strip().removeprefix("W/") for tag in if_match.split(",")}
    return lambda book: _etag(book)["ETag"] in tags


async def versions(request: Request[State]) -> Response:
    """List the versions of the own prices, newest first."""
    before, limit = wire.parse_page(request.query_params)
    found = await request.state["prices"].history(before=before, limit=limit)
    return json(wire.history(found))


async def version(request: Request[State]) -> Response:
    """Tell the own prices of one version, as they would be put in force again."""
    number = request.path_params["version"]
    found = await request.state["prices"].version(number)
    if found is None:
        raise NotFoundError(f"there is no version {number} of the prices")
    return json(wire.one_version(found))


async def reprice(request: Request[State]) -> Response:
    """Apply the prices in force to calls that were stored before."""
    state = request.state
    body = await read_body(
        request, max_bytes=_MAX_REPRICE_BYTES, max_decompressed_bytes=_MAX_REPRICE_BYTES
    )
    asked = wire.parse_reprice(body, longest=state["raw_retention"])
    _, book = await state["prices"].current()
    selection = Selection(asked.begin, asked.end, asked.provider, asked.model)
    report = await state["repricer"].run(selection, book, dry_run=asked.dry_run)
    return json(
        wire.outcome(
            report.outcome, asked, done_until=report.done_until, price_version=book.version
        )
    )


routes = [
    Route("/api/metrics/prices", prices, methods=["GET", "PUT"]),
    Route("/api/metrics/prices/versions", versions, methods=["GET"]),
    Route("/api/metrics/prices/versions/{version:int}", version, methods=["GET"]),
    Route("/api/metrics/prices/reprice", reprice, methods=["POST"]),
]
