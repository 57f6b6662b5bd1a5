"""alerts-svc that kills itself at a chosen place, as if its host had lost power there.

``CRASH_AT`` is ``<part>.<method>:<before|during|after>:<k>``: the k-th call of a method of the ledger, the leases or the
transport of one kind of channel (``ledger.commit:after:1``, ``webhook.send:before:2``). Calls are counted from when an
incident's first change is about to be committed; those of the leases, from the start. With another text the service
runs as ever, and its log has each place that it passes as ``place_passed``. ``CRASH_SIGNAL`` may be another one than
``SIGKILL``: with ``SIGSTOP`` it stands still there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from alerts_svc.app import Parts, create_app
from alerts_svc.domain.world import Changes
from alerts_svc.settings import Settings
from windsock_kit import logs, serve

log = structlog.get_logger(__name__)

# Well within a statement of the store, and within a request to a receiver.
_BEGUN_SECONDS = 0.002


class Mines:
    """Knows the fatal place, and counts what leads to it."""

    def __init__(self, place: str, fatal: signal.Signals = signal.SIGKILL) -> None:
        self._place = place
        self._fatal = fatal
        self._calls: Counter[str] = Counter()
        self._counting = False

    def calls(self, method: str, arguments: tuple[Any, ...]) -> int:
        """Return how often a method has been called so far, 0 if calls are not counted yet."""
        changes = next((each for each in arguments if isinstance(each, Changes)), None)
        self._counting |= changes is not None and bool(changes.transitions)
        if self._counting or method.startswith("leases."):
            self._calls[method] += 1
        return self._calls[method]

    def passes(self, method: str, moment: str, call: int) -> None:
        """Die if this is it."""
        if not call:
            return
        place = f"{method}:{moment}:{call}"
        if place == self._place:
            os.kill(os.getpid(), self._fatal)
        log.info("place_passed", place=place)


class Mined:
    """A part of the service that may be fatal to call; what it does is what the real one does."""

    def __init__(self, name: str, real: object, mines: Mines) -> None:
        self._name = name
        self._real = real
        self._mines = mines

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        method, mines = f"{self._name}.{name}", self._mines

        async def fatal(*arguments: Any, **named: Any) -> Any:
            call = mines.calls(method, arguments)
            mines.passes(method, "before", call)
            loop = asyncio.get_running_loop()
            loop.call_later(_BEGUN_SECONDS, mines.passes, method, "during", call)
            answer = await found(*arguments, **named)
            mines.passes(method, "after", call)
            return answer

        return fatal


def parts(mines: Mines) -> Parts:
    """Return the parts of the service, all of them mined."""

    def mined(name: str, real: Any) -> Any:
        return Mined(name, real, mines)

    def transports(real: Mapping[str, Any]) -> Any:
        return {kind: mined(kind, transport) for kind, transport in real.items()}

    return Parts(
        ledger=lambda real: mined("ledger", real),
        leases=lambda real: mined("leases", real),
        transports=transports,
    )


def main() -> None:
    """Serve until told to stop, or until the place is reached."""
    settings = Settings.from_env()
    fatal = signal.Signals[os.environ.get("CRASH_SIGNAL", "SIGKILL")]
    app = create_app(settings, parts=parts(Mines(os.environ["CRASH_AT"], fatal)))
    logs.configure("alerts-svc", format=settings.log_format, level=settings.log_level)
    serve.run(app, host=settings.host, port=settings.port)


if __name__ == "__main__":
    main()
