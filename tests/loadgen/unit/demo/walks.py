"""Requests of a workflow under conditions that a test chooses, and what they come to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from statistics import fmean

import msgspec

from loadgen.demo.application import (
    FEWEST_GAPS,
    MOST_GAPS,
    MOST_SHARED,
    PRIORITY_SHARES,
    Application,
)
from loadgen.demo.chance import Chance
from loadgen.demo.events import NOTHING, AnyEvent, LlmCall, Performance, Quality
from loadgen.demo.recorder import Recorder
from loadgen.demo.story import Conditions, Story, chapters, conditions
from loadgen.demo.users import FLAGS, User, treatment
from loadgen.demo.workflow import Workflow

APPLICATION = Application()
STORY = Story()
END = datetime(2026, 11, 22, 16, tzinfo=UTC)
TOLD = chapters(STORY, days=14, end=END)
FIRST_DAY = conditions(STORY, TOLD, TOLD.begins)
# So that nearly every gap is worked on.
COLD = replace(FIRST_DAY, near_hits=0.0, failing=0.0)

PRICES = {
    "gemini-2.0-flash-exp": (100, 25, 400),
    "gemini-2.0-flash-lite": (75, 75, 300),
    "text-embedding-004": (100, 100, 0),
    "text-embedding-005": (100, 100, 0),
}
REQUESTS = 400


class Walk(msgspec.Struct):
    """What some requests come to, on average; costs in nano-dollars, times in seconds."""

    cost: float
    seconds: float
    calls: float
    input_tokens: float
    call_seconds: float
    score: float
    refined: float
    events: list[AnyEvent]


def user_with(variants: dict[str, str]) -> User:
    treated = treatment(variants)
    attributes = dict.fromkeys(range(1, MOST_SHARED + 1), NOTHING)
    flags = msgspec.Raw(msgspec.json.encode(variants))
    return User("user-1", 0.0, variants, treated, flags, attributes)


def walk(now: Conditions, fixed: dict[str, str] | None = None) -> Walk:
    """Walk batches whose users have the ``fixed`` variants, and any of the other flags.

    The same seeds draw the same users and gaps, so two walks differ in what is fixed.
    """
    events: list[AnyEvent] = []
    ends: list[float] = []
    for number in range(REQUESTS):
        random = Random(number)
        variants = {key: random.choice([*values]) for key, values in FLAGS.items()}
        recorder = Recorder(user_with(variants | (fixed or {})), "session-1")
        workflow = Workflow(APPLICATION, now, recorder, Chance(random, APPLICATION.latency_sigma))
        ends.append(workflow.generate(0.0, gaps(random)).at)
        events += recorder.events
    return told(events, ends)


def gaps(random: Random) -> list[str]:
    count = random.randint(FEWEST_GAPS, MOST_GAPS)
    return random.choices([*PRIORITY_SHARES], weights=[*PRIORITY_SHARES.values()], k=count)


def told(events: list[AnyEvent], ends: Sequence[float]) -> Walk:
    calls = [event for event in events if isinstance(event, LlmCall)]
    chats = [call for call in calls if call.output_tokens]
    first = [e for e in events if isinstance(e, Quality) and e.accepted_first_pass is not None]
    return Walk(
        cost=sum(map(cost_nanos, calls)) / len(ends),
        seconds=fmean(ends),
        calls=len(chats) / len(ends),
        input_tokens=fmean(call.input_tokens for call in chats),
        call_seconds=fmean(call.duration_ms for call in chats) / 1000,
        score=fmean(event.score for event in first),
        refined=fmean(event.refined is True for event in first),
        events=events,
    )


def cost_nanos(call: LlmCall) -> int:
    plain, cached, output = PRICES[call.model]
    uncached = call.input_tokens - call.cached_input_tokens
    return uncached * plain + call.cached_input_tokens * cached + call.output_tokens * output


def error_rate(events: Sequence[AnyEvent]) -> float:
    return fmean(event.status == "error" for event in events if isinstance(event, Performance))
