"""A configuration without a database, that may be away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flags_svc.domain.flag import Environment
from flags_svc.domain.world import Author, Change, Edit, World
from flags_svc.ports import Head, MovedOnError
from tests.flags_svc.replicas import ANN

PRODUCTION = Edit("environment", "production", Environment("production"), "create")


class MemoryConfiguration:
    """Implements ``ports.Configuration``; history before ``oldest`` is forgotten."""

    def __init__(self, epoch: str = "e1") -> None:
        self.world = World(epoch)
        self.changes: list[Change] = []
        self.oldest = 0
        self.away = False
        self.loads = 0
        self._versions: Counter[tuple[str, str]] = Counter()

    async def head(self) -> Head:
        """Return how far it is."""
        self._answer()
        return Head(self.world.epoch, self.world.revision)

    async def load(self) -> World:
        """Return everything."""
        self._answer()
        self.loads += 1
        return self.world

    async def since(self, revision: int, *, limit: int) -> Sequence[Change]:
        """Return the changes after ``revision`` that are not forgotten."""
        self._answer()
        first = max(revision, self.oldest)
        return [change for change in self.changes if change.revision > first][:limit]

    async def commit(
        self, edits: Sequence[Edit], *, epoch: str, base: int, author: Author
    ) -> Sequence[Change]:
        """Commit ``edits`` as the next revisions."""
        self._answer()
        if (epoch, base) != (self.world.epoch, self.world.revision):
            raise MovedOnError
        return self.put(*edits, author=author)

    async def begin_anew(self, head: Head) -> None:
        """Begin another epoch, if ``head`` is how far it is."""
        self._answer()
        if head == Head(self.world.epoch, self.world.revision):
            self.world = replace(self.world, epoch=f"{self.world.epoch}+")

    def put(self, *edits: Edit, author: Author = ANN) -> list[Change]:
        """Commit ``edits`` whatever there is."""
        base = self.world.revision
        made = [
            Change(base + number, self._next_version(edit), 1_000.0 + base + number, author, edit)
            for number, edit in enumerate(edits, 1)
        ]
        self.world = self.world.after(made)
        self.changes += made
        return made

    def _next_version(self, edit: Edit) -> int:
        self._versions[edit.kind, edit.key] += 1
        return self._versions[edit.kind, edit.key]

    def _answer(self) -> None:
        if self.away:
            raise OSError("the database is away")
