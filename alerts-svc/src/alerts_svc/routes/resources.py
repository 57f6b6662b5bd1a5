"""How handlers are put together: one route for all methods of an address, and bodies within their bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts_svc.domain.world import World
from alerts_svc.state import State
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.wire.times import Clocks
from windsock_kit.body import read_body
from windsock_kit.postgres import unavailable

Handler = Callable[[Request[State]], Awaitable[Response]]

_AWAY = "the store cannot answer now"
MAX_ID = 200


def resource(path: str, **handlers: Handler) -> Route:
    """Return the route of an address with a handler per method; a refused method so learns of all that are not.

    The store's absence is told as 503, whichever handler meets it.
    """
    by_method = {method.upper(): handler for method, handler in handlers.items()}
    first = next(iter(handlers.values()))

    @wraps(first)
    async def dispatch(request: Request[State]) -> Response:
        # Starlette answers HEAD wherever GET is, with GET's handler.
        method = "GET" if request.method == "HEAD" else request.method
        with unavailable(_AWAY):
            return await by_method[method](request)

    return Route(path, dispatch, methods=list(by_method))


async def body_of(request: Request[State]) -> bytes:
    """Return the decoded body, bounded by the service's limit both as sent and as decoded."""
    limit = request.state["max_body_bytes"]
    return await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)


async def load(request: Request[State]) -> World:
    """Read everything from the store, at one revision."""
    return await PostgresLedger(request.state["pool"]).load()


def clocks(request: Request[State]) -> Clocks:
    """Read the clocks once, so that an answer is of one moment."""
    return Clocks.of(request.state["time"])


def named(request: Request[State], parameter: str = "name") -> str:
    """Return what the address names; what cannot be a name is cut to what is not there either."""
    found: str = request.path_params[parameter]
    return found[:MAX_ID].replace("\0", "\N{REPLACEMENT CHARACTER}")
