"""A process of the service as far as it follows the configuration, with its stream served over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from flags_svc.editor import LiveEditor
from flags_svc.instruments import Instruments
from flags_svc.live.replica import Replica
from flags_svc.live.running import LiveParts, live_running, make_live, open_redis
from flags_svc.ports import Head
from flags_svc.routes import stream
from flags_svc.store.configuration import PostgresConfiguration
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry
from windsock_kit.middleware import standard
from windsock_kit.postgres import open_pool
from windsock_kit.testing import serving

# Nobody should wait for the next look at the database, unless the test is about it.
SELDOM = 600.0


class Leaving(PostgresConfiguration):
    """A database that a test may have away, for this process alone."""

    away = False

    async def head(self) -> Head:
        if self.away:
            raise OSError("the database is away")
        return await super().head()


@dataclass(frozen=True, slots=True)
class Process:
    """What tests do with one."""

    parts: LiveParts
    editor: LiveEditor
    configuration: Leaving

    @property
    def replica(self) -> Replica:
        return self.parts.replica

    def variant(self, key: str = "f", environment: str = "production") -> str | None:
        """Return what a flag gives here."""
        return self.replica.compiled(environment)[key].evaluate(None, {}).variant


@asynccontextmanager
async def a_process(
    database_url: str,
    *,
    redis_url: str = "",
    state_dir: str = "",
    reconcile_seconds: float = SELDOM,
) -> AsyncGenerator[Process]:
    """Run one process for the block."""
    registry = make_registry()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(
                database_url, application_name="test", min_size=0, max_size=4, command_timeout=5.0
            )
        )
        redis = await stack.enter_async_context(open_redis(redis_url))
        configuration = Leaving(pool)
        parts = make_live(
            configuration,
            Instruments(registry),
            registry,
            redis=redis,
            state_dir=state_dir,
            reconcile_seconds=reconcile_seconds,
            max_streams=2_000,
        )
        await stack.enter_async_context(
            live_running(parts, database_url=database_url, redis_url=redis_url)
        )
        yield Process(
            parts, LiveEditor(configuration, parts.replica, parts.announcer), configuration
        )


@asynccontextmanager
async def served(
    parts: LiveParts,
    routes: Sequence[BaseRoute] | None = None,
    state: Mapping[str, Any] | None = None,
) -> AsyncGenerator[str]:
    """Serve the routes of the stream, or ``routes``, and give the address."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[dict[str, Any]]:
        yield {
            "live": parts.replica,
            "hub": parts.hub,
            "sdk_events": parts.sdk_events,
            "default_environment": "production",
            **(state or {}),
        }

    app = Starlette(
        routes=stream.routes if routes is None else routes,
        lifespan=lifespan,
        middleware=standard(make_registry()),
        exception_handlers=exception_handlers,
    )
    async with serving(app) as url:
        yield url
