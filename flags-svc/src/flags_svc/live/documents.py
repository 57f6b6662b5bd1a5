"""What is sent of an environment, by the stream and over Redis: all of it, or what has changed since."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

import orjson

from flags_svc.live.event_id import EventId
from flags_svc.live.recent import Touch
from flags_svc.live.replica import Replica


def snapshot(replica: Replica, environment: str) -> bytes:
    """Return everything of ``environment``; raises ``NotFoundError`` and ``UnavailableError``."""
    world = replica.world
    found = replica.in_force(environment)
    head = {
        "epoch": world.epoch,
        "revision": world.revision,
        "environment": environment,
        "at": time.time(),
    }
    return _joined(head, {"flags": found.flags.values(), "segments": found.segments.values()})


def change(replica: Replica, environment: str, since: EventId) -> bytes | None:
    """Return what has changed since ``since``; ``None`` if that cannot be told, and only a snapshot will do.

    Flags and segments come as they are now, so that several revisions make one change.
    """
    world = replica.world
    found = replica.in_force(environment)
    touches = replica.recent.since(since.revision)
    if touches is None or since.epoch != world.epoch:
        return None
    touched = _by_kind(touches)
    if environment in touched["environment"]:
        # It may have gone and come back.
        return None
    head = {
        "epoch": world.epoch,
        "revision": world.revision,
        "previous": since.revision,
        "at": touches[0].at if touches else time.time(),
        "removed": sorted(touched["flag"] - found.flags.keys()),
        "removed_segments": sorted(touched["segment"] - found.segments.keys()),
    }
    return _joined(
        head,
        {
            "flags": _named(found.flags, touched["flag"]),
            "segments": _named(found.segments, touched["segment"]),
        },
    )


def _by_kind(touches: Iterable[Touch]) -> dict[str, set[str]]:
    touched: dict[str, set[str]] = {"flag": set(), "segment": set(), "environment": set()}
    for touch in touches:
        touched[touch.kind].add(touch.key)
    return touched


def _named(parts: Mapping[str, bytes], keys: Iterable[str]) -> list[bytes]:
    return [parts[key] for key in sorted(keys) if key in parts]


def _joined(head: Mapping[str, object], lists: Mapping[str, Collection[bytes]]) -> bytes:
    told = [b'"%b":[%b]' % (name.encode(), b",".join(parts)) for name, parts in lists.items()]
    return orjson.dumps(head)[:-1] + b"," + b",".join(told) + b"}"
