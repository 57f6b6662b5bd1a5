"""Background jobs that run every so often for the life of the process."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

log = structlog.get_logger(__name__)

STALE_INTERVALS: Final = 3


class _Metrics:
    """The metric families that all loops of one registry share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ticks = Counter("loop_ticks", "Ticks started.", ["loop"], registry=registry)
        self.failures = Counter("loop_failures", "Ticks that raised.", ["loop"], registry=registry)
        self.duration = Histogram(
            "loop_tick_duration_seconds", "Time that a tick took.", ["loop"], registry=registry
        )
        self.lag = Gauge(
            "loop_lag_seconds", "How late the last tick started.", ["loop"], registry=registry
        )


_families: WeakKeyDictionary[CollectorRegistry, _Metrics] = WeakKeyDictionary()


class PeriodicLoop:
    """Runs ``tick`` every ``interval`` seconds until stopped.

    A failing tick is logged and tried again at the next interval, because one bad item must not
    stop the work on the others. Ticks never overlap, and missed ones are not made up for.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[None]],
        *,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.name = name
        self.interval = interval
        self.last_success: float | None = None
        self._tick = tick
        self._clock = clock
        self._created = clock()
        self._signal = asyncio.Event()
        self._stopping = False
        registry = registry if registry is not None else CollectorRegistry()
        families = _families.get(registry) or _families.setdefault(registry, _Metrics(registry))
        self._ticks = families.ticks.labels(name)
        self._failures = families.failures.labels(name)
        self._duration = families.duration.labels(name)
        self._lag = families.lag.labels(name)

    @property
    def seconds_without_success(self) -> float:
        """How long ago a tick last succeeded (counted from the start at first)."""
        latest = self._created if self.last_success is None else self.last_success
        return self._clock() - latest

    @property
    def stale(self) -> bool:
        """Whether no tick has succeeded for three intervals."""
        return self.seconds_without_success > STALE_INTERVALS * self.interval

    async def run_once(self) -> None:
        """Run one tick now; a failure is counted and logged, not raised."""
        started = self._clock()
        self._ticks.inc()
        try:
            await self._tick()
        except Exception:
            self._failures.inc()
            log.exception("loop_tick_failed", loop=self.name)
        else:
            self.last_success = self._clock()
        finally:
            self._duration.observe(self._clock() - started)

    async def run(self) -> None:
        """Run ticks until ``stop``; the first one starts at once."""
        due = self._clock()
        while not self._stopping:
            now = self._clock()
            self._lag.set(max(0.0, now - due))
            await self.run_once()
            due = now + self.interval
            due = await self._rest(due)

    async def _rest(self, due: float) -> float:
        """Wait until ``due`` or a signal, and return when the next tick was meant to start."""
        try:
            async with asyncio.timeout(max(0.0, due - self._clock())):
                await self._signal.wait()
        except TimeoutError:
            return due
        self._signal.clear()
        return self._clock()

    def wake(self) -> None:
        """Start the next tick at once; during a tick, right after it."""
        self._signal.set()

    def stop(self) -> None:
        """Start no further tick; one that is running ends by itself."""
        self._stopping = True
        self._signal.set()


@contextmanager
def guarding(tasks: Sequence[asyncio.Task[None]]) -> Generator[None]:
    """Stop the process if one of ``tasks`` ends inside the block, however it ends.

    Not a TaskGroup: after start-up the server ignores a failed lifespan, so a crashed group would
    leave HTTP answering with every loop dead.
    """
    stopping = False

    def die(task: asyncio.Task[None]) -> None:
        # A loop that ends in a cancellation of its tick's own making is as dead as any other.
        if not stopping:
            error = None if task.cancelled() else task.exception()
            log.critical("loop_died", loop=task.get_name(), exc_info=error)
            signal.raise_signal(signal.SIGTERM)

    for task in tasks:
        task.add_done_callback(die)
    try:
        yield
    finally:
        stopping = True


@asynccontextmanager
async def running(loops: Sequence[PeriodicLoop], *, grace: float = 10.0) -> AsyncGenerator[None]:
    """Run ``loops`` for the life of the block; if one dies, stop the process.

    At the end a tick has ``grace`` seconds to finish.
    """
    tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
    try:
        with guarding(tasks):
            yield
    finally:
        for loop in loops:
            loop.stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                log.warning("loop_cancelled", loop=task.get_name(), grace_seconds=grace)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
