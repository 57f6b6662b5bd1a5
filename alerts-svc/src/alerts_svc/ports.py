"""What the parts of the service ask of each other: the store, a transport, and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Message
from alerts_svc.domain.world import Changes, Command, World

# More would take so long in one tick that the lease could run out.
ENOUGH_POSTED = 10_000


class LeaseLostError(Exception):
    """Another process acts now; this one must not commit or send anything any more."""


class StaleWorldError(Exception):
    """People have changed something since the world was loaded; load it again and decide anew."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act. ``fence`` grows with every owner; a commit under an older one is refused.

    ``own`` and ``wall`` are the service's own time and the database's clock when it was taken or renewed, ``expires_at``
    is on the caller's monotonic clock, with a margin: after it, nothing may be sent.
    """

    owner: str
    fence: int
    revision: int
    own: float
    wall: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the outbox. ``attempts`` have been begun so far; the times are own time.

    ``since`` is when it was put there (or replayed): the time to give it up counts from it.
    """

    message: Message
    attempts: int
    next_at: float
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver has taken it."""

    status: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not go through, or nobody knows. ``after`` is what the receiver asked for, in seconds.

    ``unknown`` is set where the receiver may have it all the same (cut off after everything was sent).
    """

    reason: str
    status: int | None = None
    after: float | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never go through as it is. ``gone`` says that the target asked not to be called again (410)."""

    reason: str
    status: int | None = None
    gone: bool = False


Result = Sent | Retry | Refused


class Transport(Protocol):
    """Sends one message over one kind of channel; it never raises, whatever the receiver does."""

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt, bounded in time and memory. ``wall`` is the true time, for signatures."""
        ...


class Leases(Protocol):
    """Who acts."""

    async def campaign(self, owner: str, *, ttl: float, own: float | None = None) -> Lease | None:
        """Take the lease, or renew it; ``None`` while somebody else has it.

        ``own`` is what the owner counts: a renewal stores it. One who takes the lease counts on from what is stored
        there and what the database's clock has gone on since. A lease that ends later than ``ttl`` from now was
        given before the database's clock was set back, and is free.
        """
        ...

    async def resign(self, lease: Lease) -> None:
        """Give it up, so that another one need not wait."""
        ...


class Ledger(Protocol):
    """What the one that acts reads and writes. Every write raises ``LeaseLostError`` under an old fence."""

    def quietly(self) -> AbstractAsyncContextManager[Ledger]:
        """Return a ledger for the life of a block in which people's changes wait.

        For when they come so fast that a decision is stale whenever it is to be committed.
        """
        ...

    async def load(self) -> World:
        """Read everything a decision depends on, at one revision."""
        ...

    async def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        """Write it all in one transaction, if ``revision`` is still the current one (``StaleWorldError``).

        Its messages are in the outbox after it. What is committed again (same incident, sequence and channel) is
        written once.
        """
        ...

    async def inbox(self, *, limit: int) -> Sequence[Command]:
        """Return what waits to be acted on, oldest first; ``commit`` takes away what was consumed.

        At ``ENOUGH_POSTED`` alerts it ends before ``limit``.
        """
        ...

    async def due(self, channel: str, *, own: float, limit: int) -> Sequence[Delivery]:
        """Return what may be sent on a channel now: first what is critical, then the rest, the oldest first.

        A message waits while an earlier one of its channel tells of the same incident, or of the same group.
        """
        ...

    async def next_due(self, channel: str) -> float | None:
        """Return when the next message of a channel may be sent (own time), ``None`` if none waits."""
        ...

    async def queues(self) -> Sequence[str]:
        """Return the names of the channels that messages wait for, those that no longer exist too."""
        ...

    async def begin_attempt(self, lease: Lease, delivery: Delivery, *, own: float) -> None:
        """Write down that an attempt begins; whether it ended is not known until ``end_attempt``."""
        ...

    async def end_attempt(
        self, lease: Lease, delivery: Delivery, result: Result, *, own: float, next_at: float | None
    ) -> None:
        """Write down how it ended. ``next_at`` is when to try again; without one a failure is final.

        What is to be told elsewhere is given a ``next_at`` first, and becomes final by ``fall_back``: so that a crash
        between the two loses nothing.
        """
        ...

    async def fall_back(
        self, lease: Lease, delivery: Delivery, messages: Sequence[Message]
    ) -> None:
        """Give up a delivery whose attempt has ended, and put what tells of it elsewhere in the outbox, at once."""
        ...

    async def disable_channel(self, lease: Lease, channel: str, reason: str) -> None:
        """Stop using a channel until somebody changes it; the revision grows."""
        ...


class Time(Protocol):
    """The service's own time, the true time, and the process's monotonic clock, all in seconds.

    ``own`` never steps, whatever the clocks of process and database do: all timers count in it.
    """

    def own(self) -> float:
        """Return the service's own time, near to Unix seconds."""
        ...

    def wall(self) -> float:
        """Return the database's wall clock, in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return the process's monotonic clock."""
        ...


Transports = Mapping[str, Transport]
"""By kind of channel."""
