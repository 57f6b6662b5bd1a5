"""The composition root: the only place that knows every part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from typing import TypeAlias

import asyncpg
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from flags_svc.domain.world import Change
from flags_svc.editor import LiveEditor
from flags_svc.live.replica import Replica
from flags_svc.routes import native
from flags_svc.settings import Settings
from flags_svc.state import State
from flags_svc.store.configuration import PostgresConfiguration
from windsock_kit import documentation
from windsock_kit.clock import utc_now
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import Check, livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.middleware import standard
from windsock_kit.postgres import open_pool

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class _Quiet:
    """Tells nobody."""

    async def announce(self, epoch: str, changes: Sequence[Change]) -> None: ...


def _pool(settings: Settings) -> AbstractAsyncContextManager[Pool]:
    return open_pool(
        settings.database_url,
        application_name="flags-svc",
        min_size=1,
        max_size=settings.database_pool_size,
    )


@asynccontextmanager
async def _running(
    settings: Settings, registry: CollectorRegistry, checks: dict[str, Check]
) -> AsyncGenerator[State]:
    """Run everything that lives as long as the process; fills what readiness looks at."""
    async with _pool(settings) as pool:
        configuration = PostgresConfiguration(pool)
        replica = Replica(configuration)
        editor = LiveEditor(configuration, replica, _Quiet())
        checks["world"] = lambda: _known(replica)
        reconciling = PeriodicLoop(
            "reconcile",
            replica.catch_up,
            interval=settings.reconcile_seconds,
            registry=registry,
        )
        async with running([reconciling]):
            yield {
                "live": replica,
                "editor": editor,
                "clock": utc_now,
                "default_environment": settings.default_environment,
                "max_body_bytes": settings.max_body_bytes,
            }


def _known(replica: Replica) -> None:
    """Raise ``UnavailableError`` as long as no flags are known."""
    _ = replica.world


def _contract() -> list[Route]:
    contract = files("flags_svc").joinpath("openapi.yaml")
    if not contract.is_file():
        return []
    return documentation.routes("/api/feature-flags", contract.read_bytes(), title="Windsock flags")


def create_app(settings: Settings) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins."""
    registry = make_registry()
    checks: dict[str, Check] = {}
    return Starlette(
        routes=[
            *native.routes(_contract()),
            Route("/livez", livez),
            Route("/readyz", readyz(checks)),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, registry, checks),
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
