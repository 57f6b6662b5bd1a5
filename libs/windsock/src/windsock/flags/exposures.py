"""Which exposures were recorded already."""

from __future__ import annotations

MAX_REMEMBERED_EXPOSURES = 10_000
# The user, and what tells one variant of one flag from all others.
Exposure = tuple[str, object]


class Exposures:
    """Remembers the exposures seen last.

    Two generations, of which the elder is forgotten when the younger is full; so at least half
    of ``limit`` are known, and a look at ``recent`` is all that most evaluations need. Each step
    on a dict is done at once, so there is no lock to hold in a fork: two threads that see the
    same user first may, seldom, record that twice.
    """

    def __init__(self, limit: int = MAX_REMEMBERED_EXPOSURES) -> None:
        self.recent: dict[Exposure, None] = {}
        self._elder: dict[Exposure, None] = {}
        self._half = limit // 2

    def is_first(self, exposure: Exposure) -> bool:
        """Return whether ``exposure`` is new, and remember it."""
        recent = self.recent
        if exposure in recent:
            return False
        known = exposure in self._elder
        recent[exposure] = None
        if len(recent) >= self._half:
            self._elder, self.recent = recent, {}
        return not known
