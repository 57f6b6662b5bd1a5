"""The composition root: the only place that knows every part."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from llm_simulator.answers.composer import Composer
from llm_simulator.embedding.embedder import Embedder
from llm_simulator.instruments import Instruments
from llm_simulator.provider import Provider, Terms
from llm_simulator.routes import books as books_routes
from llm_simulator.routes import chat as chat_routes
from llm_simulator.routes import embeddings as embeddings_routes
from llm_simulator.routes import models as models_routes
from llm_simulator.routes.errors import exception_handlers
from llm_simulator.settings import Settings
from llm_simulator.state import State
from windsock_kit import documentation
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.middleware import standard


@asynccontextmanager
async def _running(settings: Settings, registry: CollectorRegistry) -> AsyncGenerator[State]:
    instruments = Instruments(registry)
    terms = Terms(
        settings.seed,
        settings.time_scale,
        settings.slots,
        settings.queue,
        settings.requests_per_minute,
        settings.tokens_per_minute,
    )
    yield {
        "provider": Provider(terms, instruments),
        "composer": Composer(settings.seed),
        "embedder": Embedder(settings.seed),
        "instruments": instruments,
        "max_body_bytes": settings.max_body_bytes,
    }


def create_app(settings: Settings) -> Starlette:
    """Return the simulator as an application; nothing runs before its lifespan begins."""
    registry = make_registry()
    contract = files("llm_simulator").joinpath("openapi.yaml").read_bytes()
    return Starlette(
        routes=[
            *chat_routes.routes,
            *embeddings_routes.routes,
            *models_routes.routes,
            *books_routes.routes,
            *documentation.routes("", contract, title="LLM simulator"),
            Route("/livez", livez),
            Route("/readyz", readyz({})),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, registry),
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
