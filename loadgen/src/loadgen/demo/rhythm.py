"""How many requests come when: office hours, working weeks, growth. Pure."""

from datetime import datetime

from loadgen.demo.story import Chapters, Story

# Weight of each hour of the day (UTC): offices in Europe, some in America, nearly nobody at night.
_HOURS = (
    *(2, 1, 1, 1, 2, 4, 10, 22, 36, 42, 42, 38),
    *(30, 36, 42, 42, 38, 32, 24, 18, 14, 10, 7, 4),
)  # fmt: skip
_MEAN = sum(_HOURS) / len(_HOURS)
_SATURDAY = 5
_SECONDS_PER_DAY = 86_400.0


def requests_per_second(story: Story, told: Chapters, moment: datetime) -> float:
    """Return the rate at ``moment``; over whole weeks around the middle it averages to the story's."""
    mean_day = (5 + 2 * story.weekend) / 7
    day = story.weekend if moment.weekday() >= _SATURDAY else 1.0
    growth = 1 + story.growth * (told.progress(moment) - 0.5)
    of_day = day / mean_day * _hour_weight(moment) / _MEAN
    return story.requests_per_day / _SECONDS_PER_DAY * of_day * growth


def _hour_weight(moment: datetime) -> float:
    """Weigh the moment between the middles of the hours before and after it."""
    place = moment.hour + moment.minute / 60 + moment.second / 3600 - 0.5
    hour = int(place // 1)
    share = place - hour
    return (1 - share) * _HOURS[hour % 24] + share * _HOURS[(hour + 1) % 24]
