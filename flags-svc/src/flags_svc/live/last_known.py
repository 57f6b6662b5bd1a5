"""What was in force when a process of this machine last wrote it down, for a start without the database."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from flags_svc.domain.world import ItemKind, Stored, World
from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica
from flags_svc.store.content import UnreadableItemError, dump, load
from windsock_kit.loops import PeriodicLoop

log = structlog.get_logger(__name__)

NAME = "world.json"
WRITE_SECONDS = 1.0


def prepare(folder: str) -> None:
    """Make the folder of the file, unless it is there; raises ``OSError`` if nothing could be written there."""
    path = Path(folder)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)


class _Item(msgspec.Struct):
    kind: ItemKind
    key: str
    content: str
    version: int
    revision: int
    created_at: float
    updated_at: float
    updated_by: str


class _World(msgspec.Struct):
    epoch: str
    revision: int
    items: list[_Item]


class _Written(msgspec.Struct):
    """The same with items that are JSON already."""

    epoch: str
    revision: int
    items: list[msgspec.Raw]


class _Place(msgspec.Struct):
    epoch: str
    revision: int


class LastKnown:
    """The file ``world.json`` of a folder; written by ``loop`` after changes, at most once a second."""

    def __init__(self, replica: Replica, folder: str, *, registry: CollectorRegistry) -> None:
        self.loop = PeriodicLoop("last-known", self.tick, interval=WRITE_SECONDS, registry=registry)
        self._replica = replica
        self._path = Path(folder) / NAME
        self._written: EventId | None = None
        self._failed = False
        # Each item as it was last written: of many flags a change touches few.
        self._kept: dict[tuple[ItemKind, str], tuple[Stored[Any], msgspec.Raw]] = {}

    async def restore(self) -> None:
        """Have the replica take what the file holds, if it holds anything."""
        try:
            world = await asyncio.to_thread(_read, self._path)
        except FileNotFoundError:
            log.warning("last_known_missing", path=str(self._path))
        except (OSError, ValueError, UnreadableItemError) as error:
            log.warning("last_known_unreadable", path=str(self._path), error=repr(error))
        else:
            self._replica.restore(world)
            log.warning("last_known_used", path=str(self._path), revision=world.revision)

    async def place(self) -> EventId | None:
        """Return how far the file is, if it can be read."""
        try:
            content = await asyncio.to_thread(self._path.read_bytes)
            found = msgspec.json.decode(content, type=_Place)
        except (OSError, ValueError):
            return None
        return EventId(found.epoch, found.revision)

    async def tick(self) -> None:
        """Write if anything is new that the database has said."""
        if not self._replica.known or not self._replica.confirmed:
            return
        world = self._replica.world
        if self._replica.position == self._written:
            return
        try:
            await asyncio.to_thread(self._write, world)
        except OSError as error:
            if not self._failed:
                log.warning("last_known_not_written", path=str(self._path), error=str(error))
            self._failed = True
        else:
            self._failed = False
            self._written = EventId(world.epoch, world.revision)

    def _write(self, world: World) -> None:
        parts: Mapping[ItemKind, Mapping[str, Stored[Any]]] = {
            "flag": world.flags,
            "segment": world.segments,
            "environment": world.environments,
        }
        kept = {}
        for kind, part in parts.items():
            for key, stored in part.items():
                held = self._kept.get((kind, key))
                if held is None or held[0] is not stored:
                    held = stored, _encoded(kind, key, stored)
                kept[kind, key] = held
        self._kept = kept
        items = [written for _, written in kept.values()]
        content = msgspec.json.encode(_Written(world.epoch, world.revision, items))
        _replace(self._path, content)


def _replace(path: Path, content: bytes) -> None:
    """Replace the file at once and for good: whoever reads it finds the old or the new one, whole."""
    # It may have been removed since the start.
    prepare(str(path.parent))
    # Other processes may share the folder.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _encoded(kind: ItemKind, key: str, stored: Stored[Any]) -> msgspec.Raw:
    item = _Item(
        kind,
        key,
        dump(stored.item),
        stored.version,
        stored.revision,
        stored.created_at,
        stored.updated_at,
        stored.updated_by,
    )
    return msgspec.Raw(msgspec.json.encode(item))


def _read(path: Path) -> World:
    told = msgspec.json.decode(path.read_bytes(), type=_World)
    parts: dict[ItemKind, dict[str, Stored[Any]]] = {kind: {} for kind in get_args(ItemKind)}
    for item in told.items:
        parts[item.kind][item.key] = Stored(
            load(item.kind, item.key, item.content),
            item.version,
            item.revision,
            item.created_at,
            item.updated_at,
            item.updated_by,
        )
    return World(told.epoch, told.revision, parts["flag"], parts["segment"], parts["environment"])
