"""The composition root: the only place that knows every part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.resources import files

import asyncpg
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from metrics_svc.announcements import announcing
from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.engine import Engine
from metrics_svc.housekeeping import INTERVAL_SECONDS, Housekeeping, Periods
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.intake_otlp import OtlpIntake
from metrics_svc.price_keeper import PriceKeeper
from metrics_svc.probes.monitor import SETTLING_SECONDS, Probes
from metrics_svc.probes.target import Target, TargetError, parse_targets, store_target
from metrics_svc.repricing import Repricer
from metrics_svc.routes import health as health_routes
from metrics_svc.routes import ingest as ingest_routes
from metrics_svc.routes import otlp as otlp_routes
from metrics_svc.routes import prices as prices_routes
from metrics_svc.routes import query as query_routes
from metrics_svc.routes import reads as reads_routes
from metrics_svc.settings import Settings
from metrics_svc.state import State
from metrics_svc.store.series import SeriesRegistry
from metrics_svc.wire.batch import Limits
from metrics_svc.writer import Writer
from windsock_kit import documentation
from windsock_kit.clock import utc_now
from windsock_kit.environment import SettingsError
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import Check, livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.middleware import standard
from windsock_kit.postgres import impatient, open_pool

_FOLD_INTERVAL_SECONDS = 10.0


def kept_seconds(settings: Settings) -> dict[int, int]:
    """Return for how long rollup rows of each resolution are kept."""
    days = {
        10: settings.rollup_10s_retention_days,
        60: settings.rollup_1m_retention_days,
        600: settings.rollup_10m_retention_days,
        3600: settings.rollup_1h_retention_days,
    }
    return {resolution: 86_400 * kept for resolution, kept in days.items()}


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.max_events_per_batch,
        timedelta(seconds=settings.max_event_age_seconds),
        timedelta(seconds=settings.max_event_ahead_seconds),
    )


def _targets(settings: Settings) -> list[Target]:
    try:
        return [store_target(settings.database_url), *parse_targets(settings.probes)]
    except TargetError as error:
        raise SettingsError(f"METRICS_PROBES is wrong: {error}") from None


# Also proves that the schema is there.
_ANSWERS = "SELECT EXISTS (SELECT FROM metrics.writers)"


async def _answers(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with impatient(pool) as connection:
        await connection.fetchval(_ANSWERS)


def _housekeeping(
    pool: asyncpg.Pool[asyncpg.Record], settings: Settings, registry: CollectorRegistry
) -> PeriodicLoop:
    periods = Periods(
        raw=timedelta(days=settings.raw_retention_days),
        rollups={r: timedelta(seconds=kept) for r, kept in kept_seconds(settings).items()},
        # An event that is older than this is refused, so its batch cannot come again.
        admissions=timedelta(
            seconds=settings.max_event_age_seconds + settings.max_event_ahead_seconds, hours=1
        ),
        columnstore_after=timedelta(days=settings.columnstore_after_days),
    )
    housekeeping = Housekeeping(pool, periods, utc_now)

    async def tick() -> None:
        if await housekeeping.tick():
            loop.wake()

    loop = PeriodicLoop("housekeeping", tick, interval=INTERVAL_SECONDS, registry=registry)
    return loop


def _probing(probes: Probes, interval: float, registry: CollectorRegistry) -> PeriodicLoop:
    async def tick() -> None:
        await probes.tick()
        if probes.settling:
            asyncio.get_running_loop().call_later(min(SETTLING_SECONDS, interval), loop.wake)

    loop = PeriodicLoop("probes", tick, interval=interval, registry=registry)
    return loop


def _pool(settings: Settings) -> AbstractAsyncContextManager[asyncpg.Pool[asyncpg.Record]]:
    return open_pool(
        settings.database_url,
        application_name="metrics-svc",
        min_size=2,
        max_size=settings.database_pool_size,
    )


@asynccontextmanager
async def _running(
    settings: Settings,
    targets: list[Target],
    registry: CollectorRegistry,
    checks: dict[str, Check],
    loops: list[PeriodicLoop],
) -> AsyncGenerator[State]:
    """Run everything that lives as long as the process; fills what readiness looks at."""
    instruments = Instruments(registry)
    async with (
        _pool(settings) as pool,
        announcing(settings.redis_url, instruments) as committed,
    ):
        series = SeriesRegistry(pool, new_per_hour=settings.new_series_per_hour)
        prices = PriceKeeper(pool, GenaiCatalogue())
        writer = Writer(time.time)
        ingest = Ingest(
            pool,
            series,
            writer,
            prices=prices.book,
            max_queued=settings.max_queued_events,
            instruments=instruments,
            committed=committed,
        )
        instruments.watch(pool, queued=lambda: ingest.queued, limited=lambda: series.limited)
        interval = settings.probe_interval_seconds
        probes = Probes(targets, ingest.submit_batch, interval=interval, clock=utc_now)

        folding = PeriodicLoop(
            "fold", partial(writer.fold, pool), interval=_FOLD_INTERVAL_SECONDS, registry=registry
        )
        pricing = PeriodicLoop("prices", prices.tick, interval=2.0, registry=registry)
        probing = _probing(probes, interval, registry)
        # Housekeeping is not among them: what it fails at can wait, and nothing else stops.
        loops[:] = [folding, pricing, probing]
        checks["database"] = partial(_answers, pool)
        # Before the first request, so that a start with the store at hand refuses nothing.
        await pricing.run_once()
        tidying = _housekeeping(pool, settings, registry)
        async with probes.running(), running([*loops, tidying]), ingest.running():
            yield {
                "clock": utc_now,
                "ingest": ingest,
                "otlp": OtlpIntake(ingest, instruments),
                "engine": Engine(pool, series),
                "pool": pool,
                "probes": probes,
                "prices": prices,
                "repricer": Repricer(pool, ingest, series),
                "raw_retention": timedelta(days=settings.raw_retention_days),
                "instruments": instruments,
                "limits": _limits(settings),
                "kept": kept_seconds(settings),
                "max_body_bytes": settings.max_body_bytes,
                "max_decompressed_bytes": settings.max_decompressed_bytes,
                "max_otlp_body_bytes": settings.max_otlp_body_bytes,
            }
        await writer.retire(pool)


def create_app(settings: Settings) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins.

    Raises ``SettingsError`` when the settings do not fit together.
    """
    targets = _targets(settings)
    registry = make_registry()
    checks: dict[str, Check] = {}
    loops: list[PeriodicLoop] = []
    contract = files("metrics_svc").joinpath("openapi.yaml").read_bytes()
    return Starlette(
        routes=[
            *ingest_routes.routes,
            *otlp_routes.routes,
            *reads_routes.routes,
            *health_routes.routes,
            *query_routes.routes,
            *prices_routes.routes,
            *documentation.routes("/api/metrics", contract, title="Windsock metrics"),
            Route("/livez", livez),
            Route("/readyz", readyz(checks, loops=loops)),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, targets, registry, checks, loops),
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
