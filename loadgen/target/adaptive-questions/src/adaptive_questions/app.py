"""The composition root: the only place that knows every part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

import windsock
from adaptive_questions.bounds import Places
from adaptive_questions.caches.read_through import CacheStats
from adaptive_questions.domain.result import Questions, WorkloadError
from adaptive_questions.instruments import CacheCollector
from adaptive_questions.routes import questions as questions_routes
from adaptive_questions.routes import stream as stream_routes
from adaptive_questions.settings import Settings
from adaptive_questions.state import State
from adaptive_questions.workflow.config import Config
from adaptive_questions.workflow.service import open_questions
from windsock.integrations.asgi import WindsockMiddleware
from windsock_kit import documentation
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import Check, livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.middleware import standard

_PACKAGE = files("adaptive_questions")
# The first requests are better late than measured as if there were no flags.
FLAGS_READY_SECONDS = 5.0


class OpenQuestions(Questions, Protocol):
    """Questions with what their operator wants to know of them."""

    async def ready(self) -> None:
        """Raise while nothing can be answered."""

    def cache_stats(self) -> Mapping[str, CacheStats]:
        """Return the counters of each cache."""
        ...


Opening = Callable[[Config], AbstractAsyncContextManager[OpenQuestions]]


def workflow_config(settings: Settings) -> Config:
    """Return what of the settings is the workflow's."""
    return Config(
        openai_base_url=settings.openai_base_url,
        openai_api_key=settings.openai_api_key,
        provider=settings.provider,
        model=settings.model,
        embedding_model=settings.embedding_model,
        redis_url=settings.redis_url,
        qdrant_url=settings.qdrant_url,
        qdrant_api_key=settings.qdrant_api_key,
        l1_entries=settings.l1_entries,
        l1_ttl_seconds=settings.l1_ttl_seconds,
        l2_ttl_seconds=settings.l2_ttl_seconds,
        request_timeout_seconds=settings.model_timeout_seconds,
        max_model_calls=settings.max_model_calls,
    )


def _take_flags(settings: Settings) -> None:
    """Take the flags from where ``settings`` say; a file that they name wins, and the package has one."""
    if settings.flags_source == "file" or settings.flags_file:
        file = settings.flags_file or Path(str(_PACKAGE / "flags.json"))
        windsock.configure(flags_source="file", flags_file=file)
        return
    windsock.configure(flags_source=settings.flags_source)
    windsock.get_feature_flags().ready(FLAGS_READY_SECONDS)


@asynccontextmanager
async def _measured(settings: Settings) -> AsyncGenerator[None]:
    """Send what is recorded inside the block; at its end, wait for the last of it."""
    await asyncio.to_thread(_take_flags, settings)
    try:
        yield
    finally:
        # It waits for the service's answer, and connections that are closing need the loop meanwhile.
        await asyncio.to_thread(windsock.close)


@asynccontextmanager
async def _running(
    settings: Settings, opening: Opening, registry: CollectorRegistry, checks: dict[str, Check]
) -> AsyncGenerator[State]:
    """Run everything that lives as long as the process; fills what readiness looks at."""
    async with _measured(settings), opening(workflow_config(settings)) as questions:
        checks["knowledge"] = questions.ready
        registry.register(CacheCollector(questions.cache_stats))
        yield {
            "questions": questions,
            "places": Places(settings.max_requests, registry),
            "request_timeout_seconds": settings.request_timeout_seconds,
            "heartbeat_seconds": settings.heartbeat_seconds,
        }


def create_app(settings: Settings, opening: Opening = open_questions) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins."""
    registry = make_registry()
    checks: dict[str, Check] = {}
    contract = (_PACKAGE / "openapi.yaml").read_bytes()
    return Starlette(
        routes=[
            *questions_routes.routes,
            *stream_routes.routes,
            *documentation.routes(
                questions_routes.PREFIX, contract, title="Windsock adaptive questions"
            ),
            Route("/livez", livez),
            Route("/readyz", readyz(checks)),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, opening, registry, checks),
        middleware=[
            *standard(registry),
            Middleware(LoopbackGuard),
            Middleware(WindsockMiddleware),
        ],
        exception_handlers={**exception_handlers, WorkloadError: questions_routes.workload_error},
    )
