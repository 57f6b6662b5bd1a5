"""Schedules as they are written: what is to change in one environment of a flag, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags_svc.domain.fields import (
    below,
    fields_of,
    list_of,
    number_of,
    refusing,
    yes_or_no,
)
from flags_svc.domain.flag import Step
from flags_svc.domain.times import instant, seconds_of
from windsock.flags import reading, writing
from windsock_kit.errors import InvalidError

MAX_STEPS = 100
MAX_SECONDS = 366 * 86_400.0
_STEP = ("at", "after_seconds", "enabled", "percentage", "done_at")


def schedule_of(value: object, path: str) -> tuple[Step, ...]:
    """Return the steps of a schedule; raises ``InvalidError``."""
    steps = tuple(_step_of(each, place) for place, each in list_of(value, path, MAX_STEPS))
    for index, step in enumerate(steps):
        if index == 0 and step.at is None:
            raise InvalidError("the first step needs a time", path=f"{path}[0].at")
        if step.done_at is not None and index and steps[index - 1].done_at is None:
            raise InvalidError(
                "cannot be done before the step before it", path=f"{path}[{index}].done_at"
            )
    return steps


def _step_of(value: object, path: str) -> Step:
    fields = fields_of(value, path, _STEP)
    if (fields.get("at") is None) == (fields.get("after_seconds") is None):
        raise InvalidError("must have either at or after_seconds", path=path)
    if fields.get("enabled") is None and fields.get("percentage") is None:
        raise InvalidError("must have enabled or percentage, or both", path=path)
    read = {
        "at": seconds_of,
        "after_seconds": duration_of,
        "enabled": yes_or_no,
        "percentage": share_of,
        "done_at": seconds_of,
    }
    return Step(
        **{
            name: read[name](each, below(path, name))
            for name, each in fields.items()
            if each is not None
        }  # type: ignore[arg-type]  # Each reader gives its field's type.
    )


def duration_of(value: object, path: str) -> float:
    """Return how long something lasts, in seconds."""
    return round(float(number_of(value, path, 0, MAX_SECONDS)), 3)


def share_of(value: object, path: str) -> int:
    """Return a percentage as a share in its thousandths; raises ``InvalidError`` for what lies between two."""
    with refusing():
        return reading.share_of(value, path)


def schedule_document(steps: Sequence[Step]) -> list[Mapping[str, Any]]:
    """Return steps as they are written."""
    return [_document(step) for step in steps]


def _plain(seconds: float | None) -> float | None:
    return int(seconds) if seconds is not None and seconds.is_integer() else seconds


def _document(step: Step) -> dict[str, Any]:
    told = {
        "at": None if step.at is None else instant(step.at),
        "after_seconds": _plain(step.after_seconds),
        "enabled": step.enabled,
        "percentage": None if step.percentage is None else writing.percentage_of(step.percentage),
        "done_at": None if step.done_at is None else instant(step.done_at),
    }
    return {name: each for name, each in told.items() if each is not None}
