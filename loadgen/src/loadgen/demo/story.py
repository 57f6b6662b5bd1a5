"""The story that the history tells, as numbers: what is the same throughout, and what changes when.

Pure: time comes in as an argument. What the application is like stands in ``application``, the
shape of a day in ``rhythm``.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_SATURDAY = 5
_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Story:
    """Parameters. Shares and factors are plain numbers: 0.25 is a quarter, 1.25 a quarter more."""

    seed: int = 1
    requests_per_day: float = 2_000.0
    """On average over a week, in the middle of the story: 28,000 in 14 days."""

    users: int = 300
    users_at_start: float = 0.7
    """Share of the users who are there from the beginning; the others join one by one."""
    growth: float = 0.3
    """How much more traffic there is at the end than at the beginning."""
    weekend: float = 0.3
    """Saturday's and Sunday's traffic, as a share of a working day's."""

    deployment_at: float = 0.6
    """When, as a share of the story, a new version goes live. Its prompts are longer ..."""
    added_prompt_tokens: int = 475
    """... by so many tokens, examples that suit the gap and so are never cached by the provider,"""
    connection_gain: float = 0.7
    """and it keeps its connections to the provider open: first tokens take this factor."""

    trouble_at: float = 0.75
    """When, as a share of the story, the provider is in trouble, for an hour."""
    trouble_failing: float = 0.75
    """Share of the model calls that fail in that hour,"""
    trouble_limited: float = 0.7
    """and the share of those that fail by 429; the others time out."""
    trouble_slower: float = 2.5
    """Factor on the latency of the calls that do not fail,"""
    trouble_hits: float = 0.6
    """and on the hit rate: what failed is in no cache when it is asked for again."""
    failing: float = 0.004
    """Share of the model calls that fail on any other day."""

    drift_from: float = 0.2
    """From when on, as a share of the story, quality and hit rate slip, evenly until its end:"""
    quality_loss: float = 0.6
    """points of the score,"""
    near_hits: float = 0.72
    """the hit rate of the first cache layer before the drift"""
    near_hits_loss: float = 0.14
    """and by how much it is less at the end, for its entries are evicted sooner:"""
    evicted: float = 0.1
    """share of its misses whose entry was evicted,"""
    evicted_gain: float = 0.4
    """and by how much that is more at the end."""


@dataclass(frozen=True, slots=True)
class Chapters:
    """When things happen in a story of so many ``days``. All times are UTC and full hours."""

    begins: datetime
    days: int
    deployment: datetime
    trouble: datetime

    def progress(self, moment: datetime) -> float:
        """Return how much of the story is over: 0 at its beginning, 1 at its end."""
        return min(max((moment - self.begins) / (self.days * DAY), 0.0), 1.0)


def chapters(story: Story, *, days: int, end: datetime) -> Chapters:
    """Lay the story out over the ``days`` before ``end``, which is a full hour in UTC.

    From a week on it hangs on the last midnight, so that it is the same story all day long, and
    its events fall into office hours.
    """
    is_long = days >= _WEEK_DAYS
    begins = (_floor(end, DAY) if is_long else end) - days * DAY
    deployment = _floor(begins + story.deployment_at * days * DAY, HOUR)
    trouble = _floor(begins + story.trouble_at * days * DAY, HOUR)
    if is_long:
        deployment, trouble = _on_working_day(deployment, 10), _on_working_day(trouble, 14)
    return Chapters(begins, days, deployment, trouble)


def _on_working_day(moment: datetime, hour: int) -> datetime:
    # Saturday goes to Friday, Sunday to Monday.
    past = moment.weekday() - _SATURDAY
    shift = {0: -1, 1: 1}.get(past, 0)
    return moment.replace(hour=hour) + shift * DAY


def _floor(moment: datetime, step: timedelta) -> datetime:
    origin = datetime(1970, 1, 1, tzinfo=UTC)
    return moment - (moment - origin) % step


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request finds when it comes."""

    added_prompt_tokens: int
    first_token_factor: float
    """On the time to a model's first token."""
    latency_factor: float
    """On the whole time of a model call."""
    failing: float
    """Chance that a model call fails."""
    limited: float
    """Of a call that fails, the chance that it is by 429."""
    quality_shift: float
    near_hits: float
    evicted: float
    """Of the misses of the first layer, the share of entries that were evicted."""


def conditions(story: Story, told: Chapters, moment: datetime) -> Conditions:
    """Return the conditions at ``moment``."""
    deployed = moment >= told.deployment
    troubled = told.trouble <= moment < told.trouble + HOUR
    over = told.progress(moment) - story.drift_from
    drift = max(0.0, over / (1 - story.drift_from))
    hits = story.near_hits - story.near_hits_loss * drift
    return Conditions(
        added_prompt_tokens=story.added_prompt_tokens if deployed else 0,
        first_token_factor=story.connection_gain if deployed else 1.0,
        latency_factor=story.trouble_slower if troubled else 1.0,
        failing=story.trouble_failing if troubled else story.failing,
        limited=story.trouble_limited,
        quality_shift=-story.quality_loss * drift,
        near_hits=hits * story.trouble_hits if troubled else hits,
        evicted=story.evicted + story.evicted_gain * drift,
    )
