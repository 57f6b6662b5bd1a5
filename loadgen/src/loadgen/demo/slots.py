"""History as batches: one for each half hour, the same one whenever it is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import NAMESPACE_URL, UUID, uuid5

from loadgen.demo.application import (
    FEWEST_GAPS,
    MOST_GAPS,
    PATH_SHARES,
    PRIORITY_SHARES,
    Application,
)
from loadgen.demo.chance import Chance
from loadgen.demo.events import AnyEvent
from loadgen.demo.recorder import Recorder
from loadgen.demo.rhythm import requests_per_second
from loadgen.demo.story import DAY, Chapters, Story, conditions
from loadgen.demo.users import Population, User
from loadgen.demo.workflow import Workflow

SLOT = timedelta(minutes=30)

_BATCH_NAMESPACE = uuid5(NAMESPACE_URL, "urn:windsock:demo")
_SESSION_HOURS = 4
_FIRST_BYTE_MS = 4.0


@dataclass(frozen=True, slots=True)
class Slot:
    """The events of all requests that begin in one half hour, as one batch."""

    batch_id: UUID
    begins: datetime
    requests: int
    events: list[AnyEvent]
    due_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Request:
    at: float
    user: User


class History:
    """Makes the batches of a story.

    A batch depends on the story, its length, the day it hangs on and its own half hour, and on
    nothing that was made before. Its id says its seed and half hour: sent again, it counts once.
    """

    def __init__(self, story: Story, told: Chapters, application: Application) -> None:
        self._story = story
        self._told = told
        self._application = application
        self._population = Population(story)

    def slots(self, begin: datetime, end: datetime) -> Iterator[Slot]:
        """Yield the batches from ``begin`` to ``end``, in order of time."""
        midnight = begin.replace(hour=0, minute=0)
        seen: set[str] = set()
        moment = midnight
        while moment < end:
            if (moment - midnight) % DAY == timedelta():
                seen.clear()
            requests = self._requests(moment)
            if moment >= begin:
                yield self._slot(moment, requests, seen)
            seen.update(request.user.name for request in requests)
            moment += SLOT

    def _requests(self, moment: datetime) -> list[_Request]:
        """Draw who comes when in this half hour: a Poisson process of the rhythm's rate."""
        random = self._random("arrivals", moment)
        rate = requests_per_second(self._story, self._told, moment + SLOT / 2)
        progress = self._told.progress(moment)
        at, end = moment.timestamp(), (moment + SLOT).timestamp()
        found = []
        while (at := at + random.expovariate(rate)) < end:
            found.append(_Request(at, self._population.draw(random, progress)))
        return found

    def _slot(self, moment: datetime, requests: list[_Request], seen: set[str]) -> Slot:
        random = self._random("requests", moment)
        events: list[AnyEvent] = []
        exposed = set(seen)
        for request in requests:
            recorder = Recorder(request.user, _session(request))
            # The workload starts anew each night, and tells each user's variants once in its life.
            if request.user.name not in exposed:
                recorder.exposures(request.at)
                exposed.add(request.user.name)
            self._walk(request.at, recorder, random)
            events += recorder.events
        batch_id = uuid5(_BATCH_NAMESPACE, f"{self._story.seed}/{moment.isoformat()}")
        return Slot(batch_id, moment, len(requests), events)

    def _walk(self, at: float, recorder: Recorder, random: Random) -> None:
        now = conditions(self._story, self._told, datetime.fromtimestamp(at, UTC))
        chance = Chance(random, self._application.latency_sigma)
        workflow = Workflow(self._application, now, recorder, chance)
        (path,) = _drawn(random, PATH_SHARES, 1)
        count = random.randint(FEWEST_GAPS, MOST_GAPS) if path == "batch-generate" else 1
        gaps = _drawn(random, PRIORITY_SHARES, count)
        match path:
            case "evaluate":
                outcome = workflow.evaluate(at, gaps[0])
            case "refine":
                outcome = workflow.refine(at, gaps[0])
            case _:
                outcome = workflow.generate(at, gaps)
        streamed = path == "generate/stream"
        first_byte = at + chance.seconds(_FIRST_BYTE_MS) if streamed else outcome.at
        recorder.request(path, at, first_byte, outcome.at, outcome.fault)

    def _random(self, purpose: str, moment: datetime) -> Random:
        # Texts are hashed by the generator itself, so a seed is the same in every process.
        text = f"{self._story.seed}/{purpose}/{moment.isoformat()}"
        return Random(text)  # noqa: S311  Reproducible, not secret.


def _session(request: _Request) -> str:
    moment = datetime.fromtimestamp(request.at, UTC)
    return f"{request.user.name}-{moment:%m%d}-{moment.hour // _SESSION_HOURS}"


def _drawn(random: Random, shares: dict[str, int], count: int) -> list[str]:
    return random.choices([*shares], weights=[*shares.values()], k=count)
