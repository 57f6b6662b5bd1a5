"""The composition root: the only place that knows every part."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TypeAlias

import asyncpg
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from alerts_svc.channel_watch import INTERVAL_SECONDS as WATCH_SECONDS
from alerts_svc.channel_watch import ChannelWatch
from alerts_svc.clients.measures import Measures
from alerts_svc.clients.metrics import open_metrics
from alerts_svc.clients.roster import INTERVAL_SECONDS as SAY_SECONDS
from alerts_svc.clients.roster import Roster, open_roster
from alerts_svc.domain.alert import Alert
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.evaluator.ticker import Ticker
from alerts_svc.housekeeping import INTERVAL_SECONDS, Housekeeping, Periods
from alerts_svc.identity import has_ended, new_owner
from alerts_svc.impairment import INTERVAL_SECONDS as LOOK_SECONDS
from alerts_svc.impairment import Impairment, Journal
from alerts_svc.instruments import Instruments
from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.listener import Ears, Listener
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.notify.transports import make_transports
from alerts_svc.ports import Leases, Ledger, Transports
from alerts_svc.routes import native, v1, v2
from alerts_svc.sender.sender import Sender
from alerts_svc.settings import Settings
from alerts_svc.state import State, Stores
from alerts_svc.store.alerts import Alerts
from alerts_svc.store.changes import ChangeEvents
from alerts_svc.store.channels import Channels
from alerts_svc.store.configurations import Configurations
from alerts_svc.store.deliveries import Deliveries
from alerts_svc.store.evaluations import Evaluations
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.keys import Keys
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.retention import Retention
from alerts_svc.store.rules import Rules
from alerts_svc.store.silences import Silences
from alerts_svc.timekeeper import Timekeeper
from alerts_svc.wire.defaults import default_configuration, default_rules
from windsock_kit import documentation
from windsock_kit.environment import SettingsError
from windsock_kit.errors import UnavailableError, exception_handlers
from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.health import Check, livez, readyz
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.middleware import standard
from windsock_kit.postgres import impatient, open_pool, unavailable

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Parts:
    """What tests wrap or replace: to die before or after a call of the store, to set clocks, to watch what is sent."""

    ledger: Callable[[Ledger], Ledger] = lambda real: real
    leases: Callable[[Leases], Leases] = lambda real: real
    transports: Callable[[Transports], Transports] = lambda real: real
    timekeeper: Callable[[], Timekeeper] = Timekeeper


REAL = Parts()

# Also proves that the schema is there.
_ANSWERS = "SELECT EXISTS (SELECT FROM alerts.leases)"


async def _answers(pool: Pool) -> None:
    async with impatient(pool) as connection:
        await connection.fetchval(_ANSWERS)


def _pool(settings: Settings) -> AbstractAsyncContextManager[Pool]:
    return open_pool(
        settings.database_url,
        application_name="alerts-svc",
        min_size=1,
        max_size=settings.database_pool_size,
    )


def _guard(settings: Settings) -> Guard:
    try:
        return Guard(settings.allowed_targets)
    except ValueError as error:
        raise SettingsError(f"ALERTS_ALLOWED_TARGETS is wrong: {error}") from None


def _housekeeping(pool: Pool, settings: Settings, time: Timekeeper) -> Housekeeping:
    periods = Periods(
        measured=3_600.0 * settings.evaluation_retention_hours,
        history=86_400.0 * settings.history_retention_days,
    )
    return Housekeeping(Retention(pool), periods, time)


def _tidying(housekeeping: Housekeeping, registry: CollectorRegistry) -> PeriodicLoop:
    async def tick() -> None:
        if await housekeeping.tick():
            loop.wake()

    loop = PeriodicLoop("housekeeping", tick, interval=INTERVAL_SECONDS, registry=registry)
    return loop


class _Founding:
    """What must be in the store before anybody acts; done once, as soon as the store is there."""

    def __init__(self, pool: Pool, links: Links) -> None:
        self._pool = pool
        self._links = links
        self._done = False

    async def ensure(self) -> None:
        if self._done:
            return
        self._links.use(await Keys(self._pool).get("links"))
        await Rules(self._pool).seed(default_rules())
        await Configurations(self._pool).seed(default_configuration())
        self._done = True

    def check(self) -> None:
        """Raise until it is done: nobody should read rules that are still to come."""
        if not self._done:
            raise UnavailableError("the defaults are not in the store yet")


@dataclass(frozen=True, slots=True)
class _Reach:
    """What the service talks to, but for its store."""

    measures: Measures
    transports: Transports
    roster: Roster


@asynccontextmanager
async def _reaching(
    settings: Settings, parts: Parts, guard: Guard, links: Links
) -> AsyncGenerator[_Reach]:
    timeout = settings.metrics_timeout_seconds
    async with (
        open_metrics(settings.metrics_url, timeout_seconds=timeout) as measures,
        make_transports(guard=guard, links=links) as transports,
        open_roster(settings.redis_url) as roster,
    ):
        yield _Reach(measures, parts.transports(transports), roster)


@dataclass(frozen=True, slots=True)
class _Acting:
    """The parts that act, tied to each other; each does so only while the keeper has the lease."""

    keeper: LeaseKeeper
    evaluator: Evaluator
    ticker: Ticker
    sender: Sender
    impairment: Impairment
    watch: ChannelWatch
    ears: Ears


def _watch(instruments: Instruments, evaluator: Evaluator, keeper: LeaseKeeper) -> None:
    def alerts() -> Mapping[str, Alert]:
        world = evaluator.world
        return {} if world is None else world.alerts

    instruments.watch(alerts=alerts, acting=lambda: keeper.lease is not None)


def _acting(
    settings: Settings,
    parts: Parts,
    registry: CollectorRegistry,
    pool: Pool,
    *,
    time: Timekeeper,
    reach: _Reach,
    instruments: Instruments,
) -> _Acting:
    leases = parts.leases(PostgresLeases(pool, ended=has_ended))
    keeper = LeaseKeeper(leases, time, new_owner(), ttl=settings.lease_seconds)
    ledger = parts.ledger(PostgresLedger(pool))
    watch = ChannelWatch(pool, instruments, acting=lambda: keeper.lease is not None)

    evaluator = Evaluator(
        ledger,
        reach.measures,
        keeper,
        time,
        impaired_after_seconds=settings.impaired_after_seconds,
        given_up=watch.given_up,
        committed=lambda changes: sender.wake() if changes.messages else None,
        instruments=instruments,
    )
    sender = Sender(
        ledger,
        reach.transports,
        keeper,
        time,
        world=lambda: evaluator.world,
        instruments=instruments,
        registry=registry,
    )
    ticker = Ticker(
        evaluator,
        time,
        interval=settings.evaluation_interval_seconds,
        gap=settings.evaluation_gap_seconds,
        instruments=instruments,
        make_loop=partial(PeriodicLoop, registry=registry),
    )
    keeper.changed = ticker.changed
    impairment = Impairment(
        keeper,
        evaluator,
        reach.transports,
        time,
        after_seconds=settings.impaired_after_seconds,
        interval=settings.evaluation_interval_seconds,
        journal=Journal(settings.state_dir),
        roster=reach.roster,
        load=ledger.load,
        wake=ticker.wake,
    )
    _watch(instruments, evaluator, keeper)
    ears = Ears(ticker.wake, ticker.changed, sender.wake, ticker.announced)
    return _Acting(keeper, evaluator, ticker, sender, impairment, watch, ears)


@asynccontextmanager
async def _at_work(
    acting: _Acting, looking: PeriodicLoop, listener: Listener, loops: Sequence[PeriodicLoop]
) -> AsyncGenerator[None]:
    """Act for the life of the block. The lease is kept until what is being sent has been, and then given up.

    Meanwhile nothing is decided, and ``looking`` must not take that for a fault.
    """
    try:
        async with (
            running(loops),
            acting.sender.running(),
            running([looking, acting.ticker.loop]),
            listener.running(),
        ):
            yield
    finally:
        with suppress(UnavailableError), unavailable("the lease could not be given up"):
            await acting.keeper.resign()


def _stores(pool: Pool) -> Stores:
    return {
        "rules": Rules(pool),
        "silences": Silences(pool),
        "channels": Channels(pool),
        "configurations": Configurations(pool),
        "inbox": Inbox(pool),
        "alerts": Alerts(pool),
        "deliveries": Deliveries(pool),
        "changes": ChangeEvents(pool),
        "evaluations": Evaluations(pool),
    }


@asynccontextmanager
async def _running(
    settings: Settings,
    parts: Parts,
    guard: Guard,
    registry: CollectorRegistry,
    checks: dict[str, Check],
    loops: list[PeriodicLoop],
) -> AsyncGenerator[State]:
    """Run everything that lives as long as the process; fills what readiness looks at."""
    instruments = Instruments(registry)
    time = parts.timekeeper()
    # Nobody sends before the true key is known: sending needs the store too.
    links = Links(settings.external_url, secrets.token_bytes(32))
    async with (
        _pool(settings) as pool,
        # Whoever acts waits for no connection that people's questions take up.
        _pool(settings) as acting_pool,
        _reaching(settings, parts, guard, links) as reach,
    ):
        acting = _acting(
            settings,
            parts,
            registry,
            acting_pool,
            time=time,
            reach=reach,
            instruments=instruments,
        )
        founding = _Founding(acting_pool, links)
        checks["database"] = partial(_answers, pool)
        checks["defaults"] = founding.check
        leasing = _leasing(acting.keeper, founding, registry)
        looking = PeriodicLoop(
            "impairment", acting.impairment.tick, interval=LOOK_SECONDS, registry=registry
        )
        # What the others fail at can wait, and nothing else stops.
        loops[:] = [leasing, acting.ticker.loop, acting.sender.loop]
        tidying = _tidying(_housekeeping(pool, settings, time), registry)
        watching = PeriodicLoop(
            "channels", acting.watch.tick, interval=WATCH_SECONDS, registry=registry
        )
        saying = _saying(acting.keeper, reach.roster, registry)
        listener = Listener(settings.database_url, settings.redis_url, acting.ears)
        async with _at_work(acting, looking, listener, [leasing, watching, tidying, saying]):
            yield {
                "time": time,
                "pool": pool,
                **_stores(pool),
                "measures": reach.measures,
                "guard": guard,
                "links": links,
                "evaluator": acting.evaluator,
                "keeper": acting.keeper,
                "transports": reach.transports,
                "max_body_bytes": settings.max_body_bytes,
                "external_url": settings.external_url,
                "evaluation_interval_seconds": settings.evaluation_interval_seconds,
            }


def _leasing(keeper: LeaseKeeper, founding: _Founding, registry: CollectorRegistry) -> PeriodicLoop:
    async def tick() -> None:
        await founding.ensure()
        await keeper.tick()

    return PeriodicLoop("lease", tick, interval=keeper.interval, registry=registry)


def _contract() -> list[Route]:
    contract = files("alerts_svc").joinpath("openapi.yaml")
    if not contract.is_file():
        return []
    return documentation.routes("/api/alerts", contract.read_bytes(), title="Windsock alerts")


def _saying(keeper: LeaseKeeper, roster: Roster, registry: CollectorRegistry) -> PeriodicLoop:
    async def tick() -> None:
        if keeper.lease is not None:
            await roster.say(keeper.lease.fence)

    return PeriodicLoop("roster", tick, interval=SAY_SECONDS, registry=registry)


def create_app(settings: Settings, *, parts: Parts = REAL) -> Starlette:
    """Return the service as an application; nothing runs before its lifespan begins.

    Raises ``SettingsError`` when the settings do not fit together.
    """
    guard = _guard(settings)
    registry = make_registry()
    checks: dict[str, Check] = {}
    loops: list[PeriodicLoop] = []
    return Starlette(
        routes=[
            *native.routes(_contract()),
            *v1.routes,
            *v2.routes,
            Route("/livez", livez),
            Route("/readyz", readyz(checks, loops=loops)),
            Route("/metrics", metrics_endpoint(registry)),
        ],
        lifespan=lambda _: _running(settings, parts, guard, registry, checks, loops),
        middleware=[*standard(registry), Middleware(LoopbackGuard)],
        exception_handlers=exception_handlers,
    )
