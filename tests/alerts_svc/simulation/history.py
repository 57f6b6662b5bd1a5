"""What happened in a run, as plain records: the checker sees nothing else. All times are true ones, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerts_svc.domain.alert import Change
from alerts_svc.domain.rule import Rule


@dataclass(frozen=True, slots=True)
class Measured:
    """From now on an operation's measure reads ``value`` (``None``: there is no data)."""

    at: float
    rule: str
    operation: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something does not work. ``channel`` is the receiver, ``None`` for the service, its store or metrics-svc."""

    at: float
    until: float
    kind: str
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    """The database's clock was set by ``seconds``."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A process has taken the lease."""

    at: float
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule was put, or taken away."""

    at: float
    name: str
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Silenced:
    """A silence was acknowledged; ``wall_from`` and ``wall_to`` are by the database's clock."""

    at: float
    id: str
    operation: str
    wall_from: float
    wall_to: float


@dataclass(frozen=True, slots=True)
class Closed:
    """Somebody has closed an incident by hand."""

    at: float
    incident: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A transition is in the store. ``own`` is the service's own time of it."""

    at: float
    commit: int
    own: float
    incident: str
    fingerprint: str
    sequence: int
    change: Change
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision is in the store."""

    at: float
    commit: int
    own: float
    incident: str
    fingerprint: str
    change: Change
    outcome: str
    reason: str
    severity: int = 0


@dataclass(frozen=True, slots=True)
class Telling:
    """What a message tells of one incident; ``operation`` is empty where there is none."""

    incident: str
    sequence: int
    change: Change
    fingerprint: str
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message is in the outbox; ``instead`` says that it stands in for one that another channel could not deliver.

    ``wall`` is the database's clock at that time.
    """

    at: float
    commit: int
    id: str
    channel: str
    tellings: tuple[Telling, ...]
    wall: float = 0.0
    instead: bool = False


@dataclass(frozen=True, slots=True)
class Direct:
    """A message is sent without the outbox, because the store is away."""

    at: float
    id: str
    channel: str
    tellings: tuple[Telling, ...]
    instead: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message will not be tried again; the messages ``instead`` tell of it elsewhere."""

    at: float
    id: str
    channel: str
    instead: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """A receiver was called. ``outcome`` is what it does; ``after`` is how long it asks to be left alone."""

    at: float
    process: str
    channel: str
    id: str
    outcome: str
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class PutOff:
    """The store knows that a receiver has asked to be left alone with a message for ``after`` seconds."""

    at: float
    channel: str
    id: str
    after: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """A receiver has a message, whether or not the sender knows it."""

    at: float
    channel: str
    id: str


@dataclass(frozen=True, slots=True)
class Disabled:
    """The service has stopped using a channel; ``until`` somebody repaired it."""

    at: float
    channel: str


Event = (
    Measured
    | Fault
    | Stepped
    | Taken
    | Ruled
    | Silenced
    | Closed
    | Committed
    | Decided
    | Queued
    | Direct
    | GivenUp
    | Attempted
    | PutOff
    | Arrived
    | Disabled
)


@dataclass(slots=True)
class History:
    """One run. ``alerts`` are (rule, operation) by fingerprint; ``channels`` get everything, ``pagers`` what is critical."""

    alerts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    channels: Sequence[str] = ()
    pagers: Sequence[str] = ()
    interval: float = 5.0
    began_at: float = 0.0
    ended_at: float = 0.0
    drained: bool = True
    events: list[Event] = field(default_factory=list)

    def tail(self, count: int = 60) -> str:
        """Return the last events, one a line."""
        ordered = sorted(self.events, key=lambda event: event.at)
        return "\n".join(f"{event.at - self.began_at:9.3f} {event}" for event in ordered[-count:])
