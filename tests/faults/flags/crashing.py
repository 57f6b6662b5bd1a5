"""flags-svc that kills itself at a chosen place, as if its host had lost power there.

``CRASH_AT`` is ``<place>:<k>``: before the k-th commit of the process (``before_commit``), after it, when nobody but the
database has been told (``after_commit``), or when the k-th stream is to be told of a change (``telling``). A commit, or a
change, counts if it concerns the flag ``CRASH_FLAG``.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence

from flags_svc import __main__ as service
from flags_svc import app
from flags_svc.domain.world import Author, Change, Edit
from flags_svc.live import running
from flags_svc.live.event_id import EventId
from flags_svc.live.sdk_events import SdkEvents
from flags_svc.store.configuration import PostgresConfiguration

_left: Counter[str] = Counter()


def _passes(place: str) -> None:
    _left[place] -= 1
    if _left[place] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class FatalConfiguration(PostgresConfiguration):
    """The real one, if one survives it."""

    async def commit(
        self, edits: Sequence[Edit], *, epoch: str, base: int, author: Author
    ) -> Sequence[Change]:
        counts = any(edit.key == os.environ["CRASH_FLAG"] for edit in edits)
        if counts:
            _passes("before_commit")
        made = await super().commit(edits, epoch=epoch, base=base, author=author)
        if counts:
            _passes("after_commit")
        return made


class FatalEvents(SdkEvents):
    """The real ones, if one survives it."""

    def news(self, environment: str, since: EventId) -> bytes:
        _passes("telling")
        return super().news(environment, since)


def main() -> None:
    """Serve until told to stop, or until the place is reached."""
    place, _, number = os.environ["CRASH_AT"].partition(":")
    _left[place] = int(number)
    vars(app)["PostgresConfiguration"] = FatalConfiguration
    vars(running)["SdkEvents"] = FatalEvents
    service.main()


if __name__ == "__main__":
    main()
