"""What the parts of the service ask of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    async def begin_anew(self, head: Head) -> None:
        """Begin another epoch, if the database is as far as ``head``: it has lost revisions that others know."""


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
