"""When requests are made: the arrival times of a production trace, scaled, over and over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count

_FILE = "arrivals.csv"
_MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Times of a trace, stretched so that there are ``per_minute`` on average.

    The spacing stays the trace's own, so the bursts do too: at 20 a minute, minutes have from 1 to
    some 35 requests. It begins where the first minute has as many as the average one, since
    whoever starts it wants to see something. ``offsets`` ascend from 0; from the last to the first
    of the next round is the mean distance.
    """

    offsets: Sequence[float]
    per_minute: float

    def due(self) -> Iterator[float]:
        """Yield the seconds since the start at which requests are due, for ever."""
        distance = 60 / self.per_minute
        stretch = distance * (len(self.offsets) - 1) / self.offsets[-1]
        lasts = distance * len(self.offsets)
        scaled = [offset * stretch for offset in self.offsets]
        first = self._first(scaled)
        for turn in count():
            for offset in scaled[first:] if turn == 0 else scaled:
                yield turn * lasts + offset - scaled[first]

    def _first(self, scaled: Sequence[float]) -> int:
        """Return from where on the average number of requests comes within a minute."""
        average = round(self.per_minute)
        last = len(scaled) - average
        found = (at for at in range(last) if scaled[at + average] - scaled[at] <= _MINUTE_SECONDS)
        return next(found, 0)


def trace_offsets() -> list[float]:
    """Return the arrivals of the trace that is part of the package, in seconds."""
    lines = files("loadgen.trickle").joinpath(_FILE).read_text("ascii").splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    return [float(row) for row in rows[1:]]
