"""The composition root: the only place that knows every part."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.engine import Engine
from metrics_svc.ingest import Ingest
from metrics_svc.instruments import Instruments
from metrics_svc.price_keeper import PriceKeeper
from metrics_svc.repricing import Repricer
from metrics_svc.routes import ingest as ingest_routes
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
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import livez
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.middleware import standard
from windsock_kit.postgres import open_pool

_FOLD_INTERVAL_SECONDS = 10.0
_PRICES_INTERVAL_SECONDS = 2.0


def kept_seconds(settings: Settings) -> dict[int, int]:
    """Return for how long rollup rows of each resolution are kept."""
    days = {
        10: settings.rollup_10s_retention_days,
        60: settings.rollup_1m_retention_days,
        600: settings.rollup_10m_retention_days,
        3600: settings.rollup_1h_retention_days,
    }
    return {resolution: 86_400 * kept for resolution, kept in days.items()}


def create_app(settings: Settings) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins."""
    registry = make_registry()
    instruments = Instruments(registry)
    limits = Limits(
        settings.max_events_per_batch,
        timedelta(seconds=settings.max_event_age_seconds),
        timedelta(seconds=settings.max_event_ahead_seconds),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[State]:
        async with open_pool(
            settings.database_url,
            application_name="metrics-svc",
            min_size=2,
            max_size=settings.database_pool_size,
        ) as pool:
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
            )

            async def fold() -> None:
                await writer.fold(pool)

            folding = PeriodicLoop("fold", fold, interval=_FOLD_INTERVAL_SECONDS, registry=registry)
            pricing = PeriodicLoop(
                "prices", prices.tick, interval=_PRICES_INTERVAL_SECONDS, registry=registry
            )
            # Before the first request, so that a start with the store at hand refuses nothing.
            await prices.tick()
            async with running([folding, pricing]), ingest.running():
                yield {
                    "clock": utc_now,
                    "ingest": ingest,
                    "engine": Engine(pool, series),
                    "prices": prices,
                    "repricer": Repricer(pool, ingest, series),
                    "raw_retention": timedelta(days=settings.raw_retention_days),
                    "instruments": instruments,
                    "limits": limits,
                    "kept": kept_seconds(settings),
                    "max_body_bytes": settings.max_body_bytes,
                    "max_decompressed_bytes": settings.max_decompressed_bytes,
                }
            await writer.retire(pool)

    contract = files("metrics_svc").joinpath("openapi.yaml").read_bytes()
    return Starlette(
        routes=[
            *ingest_routes.routes,
            *reads_routes.routes,
            *query_routes.routes,
            *prices_routes.routes,
            *documentation.routes("/api/metrics", contract, title="Windsock metrics"),
            Route("/livez", livez),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lifespan,
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
