"""What the parts of the service ask of each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from flags_svc.domain.world import Author, Change, Edit, World

# Pure: what to change, decided on the newest world; called again if that has moved on meanwhile.
# It raises a ``ServiceError`` to refuse, and returns no edits when all is already as wished.
Decide: TypeAlias = Callable[[World], Sequence[Edit]]


class MovedOnError(Exception):
    """Somebody else has committed since the revision that an edit was decided on."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the database is."""

    epoch: str
    revision: int


class Configuration(Protocol):
    """The configuration in the database. Every method raises the database's own faults."""

    async def head(self) -> Head: ...

    async def load(self) -> World:
        """Read everything, at one revision."""

    async def since(self, revision: int, *, limit: int) -> Sequence[Change]:
        """Return the changes after ``revision``, oldest first, at most ``limit``."""

    async def commit(
        self, edits: Sequence[Edit], *, epoch: str, base: int, author: Author
    ) -> Sequence[Change]:
        """Commit all of ``edits`` or none, as the revisions after ``base``, each with its row of history.

        Raises ``MovedOnError`` if ``base`` of ``epoch`` is no longer the head. Listeners on
        PostgreSQL are told in the same transaction.
        """


class Live(Protocol):
    """What is in force in this process."""

    @property
    def world(self) -> World:
        """The newest world known; raises ``UnavailableError`` as long as there is none."""

    def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Put changes in force that follow on the world; what is known already is passed over. Raises ``GapError``."""

    async def catch_up(self) -> None:
        """Read from the database what is missing."""


class Editor(Protocol):
    """The one way to change anything."""

    async def edit(self, decide: Decide, author: Author) -> Sequence[Change]:
        """Commit what ``decide`` says, put it in force here, and tell everybody; returns after the commit.

        Raises ``UnavailableError`` while the database is away, and what ``decide`` raises.
        """


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How often a flag gave a variant; ``None`` for the caller's own default."""

    environment: str
    flag: str
    variant: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Instance:
    """How far a process is that evaluates flags.

    ``environment`` is empty for a service, which has all of them. ``sequence`` numbers its reports,
    from 1; times are in seconds since 1970.
    """

    instance: str
    kind: str
    name: str
    environment: str
    epoch: str
    revision: int
    sequence: int
    last_seen: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says of itself, and what it has evaluated since its report before."""

    instance: Instance
    evaluations: Sequence[Evaluated] = ()


class Reports(Protocol):
    """What processes have reported. Every method raises the database's own faults."""

    async def take(self, reports: Sequence[Report]) -> Collection[str]:
        """Take note of reports, of at most one per instance, all or none.

        Of one whose ``sequence`` is no greater than the last of its instance the evaluations are
        passed over, and its revision does not go back. Returns the instances that are new, or at another revision
        or epoch than before.
        """

    async def instances(self, *, since: float) -> Sequence[Instance]:
        """Return the instances that were seen after ``since``, by kind and name."""

    async def put_applied(self, writer: str, counts: Mapping[float, int], *, at: float) -> None:
        """Write how many changes were in force how soon, by upper bound in seconds; a writer's counts only grow."""

    async def applied(self) -> Mapping[float, int]:
        """Return the counts of all writers together."""
