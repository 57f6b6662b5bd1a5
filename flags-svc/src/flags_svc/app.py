"""The composition root: the only place that knows every part."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from flags_svc.settings import Settings
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import livez
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.middleware import standard


def create_app(settings: Settings) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins."""
    registry = make_registry()
    return Starlette(
        routes=[Route("/livez", livez), Route("/metrics", metrics_endpoint(registry))],
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
