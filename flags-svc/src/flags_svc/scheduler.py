"""Does what is due by the clock, in any process: what one has done, the others find done."""

from __future__ import annotations

from typing import Final

import structlog

from flags_svc.domain.schedule import AUTHOR, due, next_at
from flags_svc.domain.world import Author, World
from flags_svc.ports import Editor, Live
from windsock_kit.clock import Clock
from windsock_kit.errors import UnavailableError

log = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 1.0


class Scheduler:
    """Applies the steps of schedules that are due."""

    def __init__(self, live: Live, editor: Editor, clock: Clock) -> None:
        self._live = live
        self._editor = editor
        self._clock = clock
        self._seen: World | None = None
        self._next: float | None = None

    async def tick(self) -> None:
        """Do what is due.

        The steps are marked as done by the same commit that does them, and whoever commits second
        decides anew, on a world in which they are done.
        """
        now = self._clock().timestamp()
        try:
            first = self._next_at(self._live.world)
            if first is None or first > now:
                return
            changes = await self._editor.edit(due(now), Author(AUTHOR))
        except UnavailableError:
            # There are no flags yet, or no database: it is done as soon as there is.
            return
        for change in changes:
            log.info("schedule_step_done", flag=change.edit.key, revision=change.revision)

    def _next_at(self, world: World) -> float | None:
        """Return when the next step is due; to look through all flags once for each world is enough."""
        if world is not self._seen:
            self._seen, self._next = world, next_at(world)
        return self._next
