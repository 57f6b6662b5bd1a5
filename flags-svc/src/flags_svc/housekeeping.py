"""Forgets who is gone and what was long ago, in any process: what one removes the others do not find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from flags_svc.store.applied import Applied
from flags_svc.store.instances import Instances
from flags_svc.store.usage import Usage
from windsock_kit.clock import Clock

INTERVAL_SECONDS: Final = 600.0
# A process that has not reported for so long has ended.
INSTANCE_SECONDS: Final = 3_600.0
# Stale flags are looked for in the last days; a year tells how it was at this time a year ago.
USAGE_SECONDS: Final = 400 * 86_400.0
WRITER_SECONDS: Final = 86_400.0
# A tick ends after so many batches of each kind, and the next one goes on.
_BATCHES = 10


class Housekeeping:
    """Removes what is older than it is to be kept. Changes are kept for ever."""

    def __init__(self, instances: Instances, usage: Usage, applied: Applied, clock: Clock) -> None:
        self._instances = instances
        self._usage = usage
        self._applied = applied
        self._clock = clock

    async def tick(self) -> bool:
        """Remove some, and return whether there is more to remove."""
        now = self._clock().timestamp()
        more = await _forgotten(self._instances.forget, now - INSTANCE_SECONDS)
        more |= await _forgotten(self._usage.forget, now - USAGE_SECONDS)
        await self._applied.fold(now - WRITER_SECONDS)
        return more


async def _forgotten(forget: Callable[[float], Awaitable[bool]], before: float) -> bool:
    for _ in range(_BATCHES):
        if not await forget(before):
            return False
    return True
