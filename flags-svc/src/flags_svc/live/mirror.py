"""Keeps what is in force in Redis too, for services that listen there.

Of each environment there is a hash, with a field for each flag and segment, and a channel that
every change of it goes out on. Every process writes, and none has to: a script compares how far
the hash is before it changes it, so that the first that comes changes it and the others find it
done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from flags_svc.domain.world import Change
from flags_svc.live import documents
from flags_svc.live.announcing import MAX_BYTES
from flags_svc.live.event_id import EventId
from flags_svc.live.in_force import InForce
from flags_svc.live.replica import Replica
from windsock_kit.loops import PeriodicLoop
from windsock_kit.postgres import transient_errors
from windsock_kit.redis_faults import redis_faults

log = structlog.get_logger(__name__)

PREFIX = "windsock:flags:"
CHECK_SECONDS = 5.0
# Whoever is overtaken by a process that knows less tries again, but not for ever in one go.
TRIES = 3
_FAULTS: tuple[type[BaseException], ...] = (
    *redis_faults,
    *transient_errors,
    asyncpg.InterfaceError,
)

# KEYS: the hash; ARGV: its channel, the epoch and revision that it is expected to have (empty: any),
# those that it gets, the message, how many fields go, these, then fields and values that come.
# A hash of which anything may be expected is written anew, unless it is as far already.
_SCRIPT = """
local epoch, revision = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'revision'))
local message, gone = ARGV[6], tonumber(ARGV[7])
if ARGV[2] == '' then
  if epoch == ARGV[4] and revision and tonumber(revision) >= tonumber(ARGV[5]) then return 0 end
  redis.call('DEL', KEYS[1])
elseif epoch ~= ARGV[2] or revision ~= ARGV[3] then
  return 0
end
for i = 8, 7 + gone do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 8 + gone, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', ARGV[5])
redis.call('PUBLISH', ARGV[1], message)
return 1
"""


class Mirror:
    """Brings Redis up to the replica, by ``loop``: after each step of it, and every few seconds."""

    def __init__(self, replica: Replica, redis: Redis, *, registry: CollectorRegistry) -> None:
        self.loop = PeriodicLoop("mirror", self.tick, interval=CHECK_SECONDS, registry=registry)
        self._replica = replica
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)
        self._away = False
        self._deleted: set[str] = set()
        self._stood: EventId | None = None
        replica.watchers.append(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        edits = [change.edit for change in changes if change.edit.kind == "environment"]
        self._deleted.update(edit.key for edit in edits if edit.item is None)
        self.loop.wake()

    async def tick(self) -> None:
        """Write what Redis lacks. Its absence is told once, and fails nobody."""
        if not self._replica.known or not self._replica.confirmed:
            # What a file tells may be of another database.
            return
        try:
            for _ in range(TRIES):
                if await self._written():
                    break
        except _FAULTS as error:
            if not self._away:
                log.warning("mirroring_failed", error=type(error).__name__, message=str(error))
            self._away = True
        else:
            self._away = False

    async def _written(self) -> bool:
        """Write to each hash that is behind; return whether none is any more."""
        environments = sorted(self._replica.world.environments)
        if gone := self._deleted.difference(environments):
            await self._redis.delete(*(PREFIX + environment for environment in gone))
        self._deleted.clear()
        asked = self._redis.pipeline(transaction=False)
        for environment in environments:
            _ = asked.hmget(PREFIX + environment, "epoch", "revision")
        found = [_position(held) for held in await asked.execute()]
        await self._look_up(found)
        done = True
        for environment, at in zip(environments, found, strict=True):
            if environment in self._replica.world.environments and self._behind(at):
                done = await self._write(environment, at) and done
        return done

    async def _look_up(self, found: Iterable[EventId | None]) -> None:
        """Have the replica look at the database before anything is put in place of what others know and it does not.

        A hash that is only further is of somebody quicker, as a rule. One that still is when nothing has been heard of
        that for seconds shows that the database has gone back.
        """
        here, before = self._replica.position, self._stood
        self._stood = here
        for at in found:
            if at is None or at == here:
                continue
            if at.epoch != here.epoch or (here == before and at.revision > here.revision):
                await self._replica.catch_up(at)
                return

    def _behind(self, held: EventId | None) -> bool:
        here = self._replica.position
        return held is None or held.epoch != here.epoch or held.revision < here.revision

    async def _write(self, environment: str, held: EventId | None) -> bool:
        """Write what has changed since what the hash holds, or everything."""
        here = self._replica.position
        found = self._replica.in_force(environment)
        since = held or here
        message = documents.change(self._replica, environment, since)
        if held is None or message is None:
            held = None
            message = documents.change(self._replica, environment, here)
            gone: list[str] = []
            come = _fields(found, found.flags, found.segments)
        else:
            gone, come = self._steps(found, held.revision)
        if message is not None and len(message) > MAX_BYTES:
            # Whoever listens sees by ``previous`` that it has to read the hash, as when all is new.
            message = documents.change(self._replica, environment, here)
        expected = ("", "") if held is None else (held.epoch, held.revision)
        channel = f"{PREFIX}{environment}:changes"
        head: list[Any] = [channel, *expected, here.epoch, here.revision, message, len(gone)]
        arguments = [*head, *gone, *(part for field in come.items() for part in field)]
        return bool(await self._script(keys=[PREFIX + environment], args=arguments))

    def _steps(self, found: InForce, since: int) -> tuple[list[str], dict[str, bytes]]:
        touches = self._replica.recent.since(since) or []
        flags = {touch.key for touch in touches if touch.kind == "flag"}
        segments = {touch.key for touch in touches if touch.kind == "segment"}
        gone = [f"flag:{key}" for key in flags - found.flags.keys()]
        gone += [f"segment:{key}" for key in segments - found.segments.keys()]
        return gone, _fields(found, flags & found.flags.keys(), segments & found.segments.keys())


def _fields(found: InForce, flags: Iterable[str], segments: Iterable[str]) -> dict[str, bytes]:
    return {
        **{f"flag:{key}": found.flags[key] for key in flags},
        **{f"segment:{key}": found.segments[key] for key in segments},
    }


def _position(held: list[bytes | None]) -> EventId | None:
    epoch, revision = held
    if epoch is None or revision is None or not revision.isdigit():
        return None
    return EventId(epoch.decode("utf-8", "replace"), int(revision))
