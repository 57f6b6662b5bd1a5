"""alerts-svc that kills itself at a chosen place, as if its host had lost power there.

``CRASH_AT`` is ``<part>.<method>:<before|after>:<k>``: the k-th call of a method of the ledger, the leases or the transport of
one kind of channel (``ledger.commit:after:1``, ``webhook.send:before:2``). With an empty one the service runs as ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts_svc.app import Parts, create_app
from alerts_svc.settings import Settings
from windsock_kit import logs, serve


@dataclass
class Place:
    """Where to die."""

    part: str
    method: str
    moment: str
    call: int
    seen: int = 0

    @classmethod
    def of(cls, text: str) -> Place:
        """Read a place as it is written."""
        name, moment, call = text.split(":")
        part, method = name.split(".")
        assert moment in {"before", "after"}
        return cls(part, method, moment, int(call))

    def passes(self, moment: str, call: int) -> None:
        """Die if this is it."""
        if moment == self.moment and call == self.call:
            os.kill(os.getpid(), signal.SIGKILL)


class Mined:
    """A part of the service of which one method is fatal; everything else is the real one's."""

    def __init__(self, real: object, place: Place) -> None:
        assert hasattr(real, place.method), f"{type(real).__name__} has no {place.method}"
        self._real = real
        self._place = place

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._place.method:
            return found

        async def fatal(*arguments: Any, **named: Any) -> Any:
            self._place.seen += 1
            call = self._place.seen
            self._place.passes("before", call)
            answer = await found(*arguments, **named)
            self._place.passes("after", call)
            return answer

        return fatal


def parts(place: Place) -> Parts:
    """Return the parts of the service, one of them mined."""

    def mined(real: Any) -> Any:
        return Mined(real, place)

    def transports(real: Mapping[str, Any]) -> Any:
        return {**real, place.part: mined(real[place.part])}

    made = {"ledger": Parts(ledger=mined), "leases": Parts(leases=mined)}
    return made.get(place.part) or Parts(transports=transports)


def main() -> None:
    """Serve until told to stop, or until the place is reached."""
    place = os.environ["CRASH_AT"]
    settings = Settings.from_env()
    app = create_app(settings, parts=parts(Place.of(place)) if place else Parts())
    logs.configure("alerts-svc", format=settings.log_format, level=settings.log_level)
    serve.run(app, host=settings.host, port=settings.port)


if __name__ == "__main__":
    main()
