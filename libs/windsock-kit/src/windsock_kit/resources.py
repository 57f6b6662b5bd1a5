"""How handlers are put together: one route for all methods of an address."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from windsock_kit.postgres import unavailable

MAX_ID = 200
_AWAY = "the store cannot answer now"
_State = TypeVar("_State", bound=Mapping[str, Any])


def resource(path: str, **handlers: Callable[[Request[_State]], Awaitable[Response]]) -> Route:
    """Return the route of an address with a handler per method; a refused method so learns of all that are not.

    The store's absence is told as 503, whichever handler meets it.
    """
    by_method = {method.upper(): handler for method, handler in handlers.items()}
    first = next(iter(handlers.values()))

    @wraps(first)
    async def dispatch(request: Request[_State]) -> Response:
        # Starlette answers HEAD wherever GET is, with GET's handler.
        method = "GET" if request.method == "HEAD" else request.method
        with unavailable(_AWAY):
            return await by_method[method](request)

    return Route(path, dispatch, methods=list(by_method))


def named(request: Request[Any], parameter: str = "name") -> str:
    """Return what the address names; what cannot be a name is cut to what is not there either."""
    found: str = request.path_params[parameter]
    return found[:MAX_ID].replace("\0", "\N{REPLACEMENT CHARACTER}")
