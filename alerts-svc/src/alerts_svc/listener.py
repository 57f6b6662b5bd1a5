"""Hears that something has changed: on PostgreSQL what people did, on Redis what metrics-svc took in.

Neither is needed: whoever acts looks by itself, only later. So both are tried again for ever and fail nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import msgspec
import structlog

from alerts_svc.evaluator.news import Announcement
from windsock_kit.listening import CHECK_SECONDS, Listen, listening, postgres_channel, redis_channel

log = structlog.get_logger(__name__)

POSTGRES_CHANNEL = "alerts_changed"
REDIS_CHANNEL = "windsock:metrics:changed"


@dataclass(frozen=True, slots=True)
class Ears:
    """What to call: ``inbox`` for what waits there, ``changed`` for a new revision, ``outbox`` for the rest."""

    inbox: Callable[[], None]
    changed: Callable[[], None]
    outbox: Callable[[], None]
    announced: Callable[[Announcement], None]


class _Body(msgspec.Struct):
    kinds: list[str] | None = None
    operations: list[str] | None = None
    latest_event_at: float | None = None
    latest_by_operation: dict[str, float] = {}


_bodies = msgspec.json.Decoder(_Body)


class Listener:
    """Listens for the life of ``running``."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        ears: Ears,
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._ears = ears
        self._jobs: dict[str, Listen] = {
            "postgres": postgres_channel(
                database_url,
                POSTGRES_CHANNEL,
                self._notified,
                application_name="alerts-svc listener",
                check_seconds=check_seconds,
            )
        }
        if redis_url:
            self._jobs["redis"] = redis_channel(
                redis_url,
                REDIS_CHANNEL,
                lambda body: ears.announced(read_announcement(body)),
                check_seconds=check_seconds,
            )

    def running(self) -> AbstractAsyncContextManager[None]:
        """Listen for the life of the block."""
        return listening(self._jobs, self._began)

    def _began(self, name: str) -> None:
        # Whatever was said before is not heard again.
        if name == "postgres":
            self._ears.changed()
            self._ears.outbox()

    def _notified(self, what: str) -> None:
        if what == "inbox":
            self._ears.inbox()
        elif what.startswith("revision"):
            self._ears.changed()
        else:
            self._ears.outbox()


def read_announcement(body: bytes) -> Announcement:
    """Return what an announcement says; one that cannot be read says that anything may have changed."""
    try:
        read = _bodies.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        log.warning("announcement_unreadable")
        return Announcement()
    return Announcement(
        None if read.kinds is None else frozenset(read.kinds),
        None if read.operations is None else frozenset(read.operations),
        read.latest_event_at,
        read.latest_by_operation,
    )
