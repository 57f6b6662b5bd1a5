"""The environment that is asked for by default, which somebody may have misspelt or removed."""

from __future__ import annotations

import structlog

from flags_svc.live.replica import Replica

log = structlog.get_logger(__name__)


class DefaultEnvironment:
    """Says in the log when the default environment is not there: once at the start, and whenever it goes away."""

    def __init__(self, replica: Replica, name: str) -> None:
        self._replica = replica
        self._name = name
        self._missing = False

    def look(self, _: object = ()) -> None:
        """Look at what is in force now; a watcher of the replica."""
        world = self._replica.world
        # Nothing is there before the first flags are.
        missing = world.revision > 0 and self._name not in world.environments
        if missing and not self._missing:
            log.warning(
                "default_environment_missing",
                environment=self._name,
                known=sorted(world.environments),
                setting="FLAGS_DEFAULT_ENVIRONMENT",
            )
        self._missing = missing
