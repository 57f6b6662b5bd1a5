"""The composition root: the only place that knows every part."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.resources import files
from typing import TypeAlias

import asyncpg
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from flags_svc.approvals import FINISH_SECONDS, Approvals
from flags_svc.clients.alerts import open_alerts
from flags_svc.domain.world import Author
from flags_svc.editor import LiveEditor
from flags_svc.housekeeping import INTERVAL_SECONDS as TIDY_SECONDS
from flags_svc.housekeeping import Housekeeping
from flags_svc.instruments import Instruments
from flags_svc.live.default_environment import DefaultEnvironment
from flags_svc.live.last_known import prepare
from flags_svc.live.reception import Reception
from flags_svc.live.replica import Replica
from flags_svc.live.running import LiveParts, live_running, make_live, open_redis
from flags_svc.ofrep.serving import Ofrep
from flags_svc.ofrep.tally import Tally, tallying
from flags_svc.ofrep.tokens import StreamTokens
from flags_svc.routes import cors, native, ofrep, ofrep_stream
from flags_svc.scheduler import INTERVAL_SECONDS as SCHEDULE_SECONDS
from flags_svc.scheduler import Scheduler
from flags_svc.settings import Settings
from flags_svc.state import State
from flags_svc.store.applied import Applied
from flags_svc.store.change_requests import ChangeRequests
from flags_svc.store.configuration import ANSWER_SECONDS, PostgresConfiguration
from flags_svc.store.history import History
from flags_svc.store.instances import Instances
from flags_svc.store.keys import Keys
from flags_svc.store.told import Told
from flags_svc.store.usage import Usage
from flags_svc.teller import FOUNDER, Teller
from flags_svc.teller import INTERVAL_SECONDS as TELL_SECONDS
from flags_svc.wire.seeds import seed
from windsock_kit import documentation
from windsock_kit.clock import utc_now
from windsock_kit.environment import SettingsError
from windsock_kit.errors import UnavailableError, exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import Check, livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.middleware import standard
from windsock_kit.postgres import open_pool, unavailable

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
FOUND_SECONDS = 1.0


def _pool(settings: Settings) -> AbstractAsyncContextManager[Pool]:
    return open_pool(
        settings.database_url,
        application_name="flags-svc",
        min_size=1,
        max_size=settings.database_pool_size,
        # The time that the pool itself takes to give up a connection comes on top.
        command_timeout=ANSWER_SECONDS,
    )


def _ofrep(settings: Settings, parts: LiveParts, tokens: StreamTokens) -> Ofrep:
    return Ofrep.on(
        parts.replica,
        parts.hub,
        tokens,
        default_environment=settings.default_environment,
        max_body_bytes=settings.max_body_bytes,
        max_streams=settings.max_streams,
    )


@asynccontextmanager
async def _telling(
    settings: Settings,
    replica: Replica,
    configuration: PostgresConfiguration,
    pool: Pool,
    registry: CollectorRegistry,
) -> AsyncGenerator[None]:
    """Tell alerts-svc of changes for the life of the block, if it is known where that is."""
    if not settings.alerts_url:
        yield
        return
    async with open_alerts(settings.alerts_url) as alerts:
        teller = Teller(configuration, History(pool), Told(pool), alerts)
        loop = PeriodicLoop("tell", teller.tick, interval=TELL_SECONDS, registry=registry)
        replica.watchers.append(lambda _: loop.wake())
        async with running([loop]):
            yield


def _tidying(pool: Pool, registry: CollectorRegistry) -> PeriodicLoop:
    housekeeping = Housekeeping(Instances(pool), Usage(pool), Applied(pool), utc_now)

    async def tick() -> None:
        with suppress(UnavailableError), unavailable():
            if await housekeeping.tick():
                loop.wake()

    loop = PeriodicLoop("housekeeping", tick, interval=TIDY_SECONDS, registry=registry)
    return loop


def _scheduling(replica: Replica, editor: LiveEditor, registry: CollectorRegistry) -> PeriodicLoop:
    scheduler = Scheduler(replica, editor, utc_now)
    return PeriodicLoop("schedule", scheduler.tick, interval=SCHEDULE_SECONDS, registry=registry)


class _Founding:
    """What must be there before the first question; done once, as soon as the store is there."""

    def __init__(
        self, keys: Keys, replica: Replica, editor: LiveEditor, tokens: StreamTokens
    ) -> None:
        self._keys = keys
        self._replica = replica
        self._editor = editor
        self._tokens = tokens
        self._done = False

    async def tick(self) -> None:
        """Share the key of tokens, and put the first flags where there has never been any."""
        if self._done:
            return
        try:
            with unavailable("the store is not there yet"):
                self._tokens.use(await self._keys.get("ofrep-stream"))
            if self._replica.world.revision == 0:
                await self._editor.edit(seed(), Author(FOUNDER))
        except UnavailableError:
            return
        self._done = True


@asynccontextmanager
async def _running(
    settings: Settings, registry: CollectorRegistry, checks: dict[str, Check]
) -> AsyncGenerator[State]:
    """Run everything that lives as long as the process; fills what readiness looks at."""
    instruments = Instruments(registry)
    async with _pool(settings) as pool, open_redis(settings.redis_url) as redis:
        configuration = PostgresConfiguration(pool)
        parts = make_live(
            configuration,
            instruments,
            registry,
            redis=redis,
            state_dir=settings.state_dir,
            reconcile_seconds=settings.reconcile_seconds,
            max_streams=settings.max_streams,
        )
        parts.replica.watchers.append(
            DefaultEnvironment(parts.replica, settings.default_environment).look
        )
        editor = LiveEditor(configuration, parts.replica, parts.announcer)
        requests = ChangeRequests(pool)
        approvals = Approvals(editor, requests)
        tokens = StreamTokens(seconds=settings.stream_token_seconds)
        remote = _ofrep(settings, parts, tokens)
        reception = Reception(
            parts.replica, Instances(pool), Applied(pool), instruments, registry=registry
        )
        checks["flags"] = lambda: _known(parts.replica)
        founding = _Founding(Keys(pool), parts.replica, editor, tokens)
        loops = [
            PeriodicLoop("found", founding.tick, interval=FOUND_SECONDS, registry=registry),
            _scheduling(parts.replica, editor, registry),
            PeriodicLoop("approvals", approvals.finish, interval=FINISH_SECONDS, registry=registry),
            _tidying(pool, registry),
        ]
        async with (
            live_running(parts, database_url=settings.database_url, redis_url=settings.redis_url),
            running(loops),
            reception.running(),
            tallying(Tally(pool, remote.answers, utc_now), registry),
            _telling(settings, parts.replica, configuration, pool, registry),
        ):
            yield {
                "live": parts.replica,
                "hub": parts.hub,
                "sdk_events": parts.sdk_events,
                "approvals": approvals,
                "requests": requests,
                "history": History(pool),
                "usage": Usage(pool),
                "configuration": configuration,
                "reception": reception,
                "ofrep": remote,
                "clock": utc_now,
                "default_environment": settings.default_environment,
                "max_body_bytes": settings.max_body_bytes,
            }


def _known(replica: Replica) -> None:
    """Raise ``UnavailableError`` as long as no flags are known; those that a file tells are good enough."""
    if replica.world.revision == 0:
        raise UnavailableError("the first flags are not there yet")


def _contract() -> list[Route]:
    contract = files("flags_svc").joinpath("openapi.yaml")
    if not contract.is_file():
        return []
    return documentation.routes("/api/feature-flags", contract.read_bytes(), title="Windsock flags")


def _origins(settings: Settings) -> frozenset[str]:
    try:
        return cors.origins(settings.cors_origins)
    except ValueError as error:
        raise SettingsError(f"FLAGS_CORS_ORIGINS is wrong: {error}") from None


def _prepare_state(settings: Settings) -> None:
    if not settings.state_dir:
        return
    try:
        prepare(settings.state_dir)
    except OSError as error:
        raise SettingsError(
            f"FLAGS_STATE_DIR={settings.state_dir!r} is wrong: it must be a folder that can be"
            f" written: {error.strerror}"
        ) from None


def create_app(settings: Settings) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins.

    Raises ``SettingsError`` when a setting cannot be right.
    """
    _prepare_state(settings)
    registry = make_registry()
    checks: dict[str, Check] = {}
    return Starlette(
        routes=[
            # Evaluations come first: every request goes along the list.
            *ofrep.routes,
            *ofrep_stream.routes,
            *native.routes(_contract()),
            Route("/livez", livez),
            Route("/readyz", readyz(checks)),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, registry, checks),
        middleware=[
            *standard(registry),
            Middleware(LoopbackGuard, origins=_origins(settings), below="/ofrep/"),
        ],
        exception_handlers=exception_handlers,
    )
