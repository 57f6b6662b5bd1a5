"""The routes of remote evaluation around what a test puts in force: no store, no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from flags_svc.domain.flag import Environment, InEnvironment, ManagedFlag
from flags_svc.domain.world import Author, Change, Edit, Item, ItemKind, Stored, World
from flags_svc.instruments import Instruments
from flags_svc.live.hub import Hub
from flags_svc.live.replica import Replica
from flags_svc.ofrep.serving import Ofrep
from flags_svc.ofrep.tokens import StreamTokens
from flags_svc.ports import Head
from flags_svc.routes import ofrep, ofrep_stream
from windsock.flags.definition import Condition, Rollout, Rule, Serve, Split
from windsock_kit.errors import exception_handlers
from windsock_kit.loopback import LoopbackGuard
from windsock_kit.middleware import standard
from windsock_kit.testing import FakeClock

ANN = Author("ann")
EPOCH = "epoch"
MAX_BODY = 10_000
LIFE_SECONDS = 3_600.0
GERMANS = Condition("country", "equals", ("DE",))


def a_flag(
    key: str,
    kind: str = "boolean",
    variants: Mapping[str, object] | None = None,
    *,
    off: str = "off",
    staging: InEnvironment | None = None,
    bucket_by: str = "targetingKey",
    **given: Any,
) -> ManagedFlag:
    """Return a flag that is on in production, as ``given`` says, and disabled in staging."""
    values = {"on": True, "off": False} if variants is None else variants
    places = {"production": InEnvironment(enabled=True, **given)}
    if staging is not None:
        places["staging"] = staging
    first = next(iter(values))
    return ManagedFlag(key, kind, values, first, off, bucket_by=bucket_by, environments=places)


HALVES: Serve = Split({"on": 50, "off": 50})
FLAGS = [
    a_flag("static"),
    a_flag("disabled", "string", {"a": "A", "b": "B"}, off="b"),
    a_flag("text", "string", {"hello": "Grüße, 世界", "off": ""}),
    a_flag("whole", "integer", {"many": 2**53 - 1, "off": 0}),
    a_flag("fraction", "float", {"one": 1, "off": 0.25}),
    a_flag("object", "object", {"full": {"a": [1, 2.5, None], "b": {"c": "d"}}, "off": {}}),
    a_flag("targeted", rules=(Rule(GERMANS, "off"),)),
    a_flag("half", fallthrough=HALVES),
    a_flag("by-company", fallthrough=Rollout(50_000, "on"), bucket_by="company"),
    a_flag("germans-half", rules=(Rule(GERMANS, HALVES),)),
    a_flag("bad~key:a.b|c"),
    # Values, though many a client would take them for none.
    a_flag("false", variants={"zero": False, "off": True}),
    a_flag("zero", "integer", {"zero": 0, "off": 1}),
    a_flag("empty", "string", {"zero": "", "off": "x"}),
    a_flag("empty-object", "object", {"zero": {}, "off": {"a": 1}}),
    a_flag("zero-fraction", "float", {"zero": 0.0, "off": 1.5}),
]


@dataclass
class Memory:
    """A configuration that is where the test says; implements ``ports.Configuration``."""

    world: World
    changes: list[Change] = field(default_factory=list)
    away: bool = False
    asked: int = 0

    async def head(self) -> Head:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("the database is away")
        return Head(self.world.epoch, self.world.revision)

    async def load(self) -> World:
        return self.world

    async def since(self, revision: int, *, limit: int) -> Sequence[Change]:
        return [each for each in self.changes if each.revision > revision][:limit]

    async def commit(
        self, edits: Sequence[Edit], *, epoch: str, base: int, author: Author
    ) -> Sequence[Change]:
        """Put the edits into the configuration, but in force nowhere."""
        made = [Change(base + number, 1, 0.0, author, edit) for number, edit in enumerate(edits, 1)]
        self.changes += made
        self.world = self.world.after(made)
        return made

    async def begin_anew(self, head: Head) -> None:
        """Begin another epoch."""
        self.world = replace(self.world, epoch=f"{head.epoch}+")


def a_world(flags: Sequence[ManagedFlag] = FLAGS, *, epoch: str = EPOCH) -> World:
    """Return a world with two environments."""
    environments = [Environment("production"), Environment("staging")]
    return World(
        epoch,
        7,
        {flag.key: _stored(flag) for flag in flags},
        {},
        {each.name: _stored(each) for each in environments},
    )


def _stored(item: Any) -> Stored[Any]:
    return Stored(item, 1, 7, 0.0, 0.0, ANN.name)


class Scene:
    """A process with flags in force."""

    def __init__(
        self,
        configuration: Memory,
        *,
        clock: FakeClock | None = None,
        max_streams: int = 10,
        key: bytes = b"shared",
        life_seconds: float = LIFE_SECONDS,
    ) -> None:
        self.configuration = configuration
        self.clock = clock or FakeClock()
        self.live = Replica(configuration)
        registry = CollectorRegistry()
        self.hub = Hub(self.live, Instruments(registry), limit=max_streams)
        self.tokens = StreamTokens(seconds=life_seconds, now=self.clock.monotonic)
        self.tokens.use(key)
        self.ofrep = Ofrep.on(
            self.live,
            self.hub,
            self.tokens,
            default_environment="production",
            max_body_bytes=MAX_BODY,
            max_streams=max_streams,
        )
        self.app = Starlette(
            routes=[*ofrep.routes, *ofrep_stream.routes],
            lifespan=self._running,
            middleware=[*standard(registry), Middleware(LoopbackGuard)],
            exception_handlers=exception_handlers,
        )

    @asynccontextmanager
    async def _running(self, _: Starlette) -> AsyncGenerator[dict[str, Any]]:
        if self.configuration.world.revision:
            await self.live.catch_up()
        yield {"ofrep": self.ofrep}

    async def put(self, *items: Item, elsewhere: bool = False) -> None:
        """Commit items and put them in force, unless another process does."""
        edits = [Edit(_kind(item), _key(item), item, "replace") for item in items]
        await self._commit(edits, elsewhere=elsewhere)

    async def delete(self, kind: ItemKind, key: str) -> None:
        """Remove an item."""
        await self._commit([Edit(kind, key, None, "delete")], elsewhere=False)

    async def disable(self, key: str) -> None:
        """Disable a flag in production."""
        flag = self.live.world.flags[key].item
        off = replace(flag.environments["production"], enabled=False)
        await self.put(replace(flag, environments={**flag.environments, "production": off}))

    async def _commit(self, edits: Sequence[Edit], *, elsewhere: bool) -> None:
        world = self.configuration.world
        made = await self.configuration.commit(
            edits, epoch=world.epoch, base=world.revision, author=ANN
        )
        if not elsewhere:
            self.live.apply(world.epoch, made)


def a_scene(**given: Any) -> Scene:
    """Return a process with all of ``FLAGS``."""
    return Scene(Memory(a_world()), **given)


class Service:
    """A process under an address that stays, whatever becomes of the process."""

    def __init__(self, scene: Scene) -> None:
        self.base = ""
        self.scene = scene
        self._state: dict[str, Any] = {}

    async def run(self, scene: Scene, stack: AsyncExitStack) -> None:
        """Begin to serve ``scene``; the streams of the one before end."""
        state = await stack.enter_async_context(scene.app.router.lifespan_context(scene.app))
        before, self.scene, self._state = self.scene, scene, dict(state or {})
        drop_streams(before)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await self.scene.app({**scope, "state": self._state}, receive, send)


def drop_streams(scene: Scene) -> None:
    """End all streams of a process, as a network does that fails for a moment."""
    for each in list(scene.hub._subscriptions):
        each.end()


def _kind(item: Item) -> ItemKind:
    if isinstance(item, ManagedFlag):
        return "flag"
    return "environment" if isinstance(item, Environment) else "segment"


def _key(item: Item) -> str:
    return item.name if isinstance(item, Environment) else item.key
