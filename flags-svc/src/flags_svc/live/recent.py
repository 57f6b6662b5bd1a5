"""What the last revisions touched, for whoever was away for a moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from flags_svc.domain.world import Change, ItemKind

REVISIONS = 1_000


@dataclass(frozen=True, slots=True)
class Touch:
    """A revision, the item that it changed, and when."""

    revision: int
    kind: ItemKind
    key: str
    at: float


class Recent:
    """The last ``limit`` revisions up to the newest, without a gap."""

    def __init__(self, revision: int, *, limit: int = REVISIONS) -> None:
        self._touches: deque[Touch] = deque(maxlen=limit)
        self._newest = revision

    def note(self, changes: Iterable[Change]) -> None:
        """Take note of changes that follow on the newest."""
        for change in changes:
            edit = change.edit
            self._touches.append(Touch(change.revision, edit.kind, edit.key, change.at))
            self._newest = change.revision

    def since(self, revision: int) -> list[Touch] | None:
        """Return what came after ``revision``, newest first; ``None`` if that is too long ago, or still to come."""
        if revision > self._newest or revision < self._newest - len(self._touches):
            return None
        return list(takewhile(lambda touch: touch.revision > revision, reversed(self._touches)))

    def at(self, revision: int) -> float | None:
        """Return when ``revision`` was committed, in seconds since 1970, if that is still known."""
        index = len(self._touches) - 1 - (self._newest - revision)
        return self._touches[index].at if 0 <= index < len(self._touches) else None
