"""The bodies of actions: small objects, read as strictly as flags are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flags_svc.domain.actions import progressive_rollout, rollout
from flags_svc.domain.deciding import Decide
from flags_svc.domain.documents import MAX_NAME
from flags_svc.domain.fields import (
    below,
    fields_of,
    list_of,
    object_of,
    refusing,
    text_of,
)
from flags_svc.domain.flag import Step
from flags_svc.domain.rollout import Stage
from flags_svc.domain.stepping import MAX_STEPS, duration_of, schedule_of, share_of
from flags_svc.domain.times import seconds_of
from windsock.flags import reading
from windsock.flags.definition import Split
from windsock_kit.errors import InvalidError

_ROLLOUT = ("environment", "percentage", "steps", "at", "variant", "split", "otherwise")


@dataclass(frozen=True, slots=True)
class RolloutWish:
    """A rollout as asked for: a share at once, or one that grows in stages.

    ``at`` is when the first stage begins, ``None`` for at once. ``serve`` is ``None`` for what is
    rolled out now, ``environment`` for the default one.
    """

    environment: str | None
    share: int | None = None
    stages: tuple[Stage, ...] = ()
    at: float | None = None
    serve: str | Split | None = None
    otherwise: str | None = None

    def decide(
        self, key: str, environment: str, *, now: float, expected: int | None = None
    ) -> Decide:
        """Return the decision to do so with a flag."""
        if self.share is not None:
            return rollout(
                key,
                environment,
                self.share,
                serve=self.serve,
                otherwise=self.otherwise,
                expected=expected,
            )
        return progressive_rollout(
            key,
            environment,
            self.stages,
            now=now,
            at=self.at,
            serve=self.serve,
            otherwise=self.otherwise,
            expected=expected,
        )


def rollout_of(value: object) -> RolloutWish:
    """Return what is to be rolled out; raises ``InvalidError``."""
    fields = fields_of(value, "", _ROLLOUT)
    if ("percentage" in fields) == ("steps" in fields):
        raise InvalidError("give either percentage or steps", path="percentage")
    if "at" in fields and "steps" not in fields:
        raise InvalidError("at goes with steps", path="at")
    return RolloutWish(
        _environment(fields),
        share_of(fields["percentage"], "percentage") if "percentage" in fields else None,
        _stages(fields["steps"], "steps") if "steps" in fields else (),
        seconds_of(fields["at"], "at") if "at" in fields else None,
        _serve(fields),
        _variant(fields, "otherwise"),
    )


def planned_of(value: object) -> tuple[str | None, tuple[Step, ...]]:
    """Return the environment and the steps of a new schedule, of which none is done; raises ``InvalidError``."""
    fields = fields_of(value, "", ("environment", "steps"))
    steps = schedule_of(fields.get("steps", []), "steps")
    for index, step in enumerate(steps):
        if step.done_at is not None:
            raise InvalidError("a new step is to come", path=f"steps[{index}].done_at")
    return _environment(fields), steps


def _environment(fields: Mapping[str, Any]) -> str | None:
    given = fields.get("environment")
    return None if given is None else text_of(given, "environment", MAX_NAME, 1)


def _stages(value: object, path: str) -> tuple[Stage, ...]:
    stages = []
    for place, each in list_of(value, path, MAX_STEPS):
        fields = fields_of(each, place, ("percentage", "for_seconds"))
        if "percentage" not in fields:
            raise InvalidError("percentage is missing", path=below(place, "percentage"))
        share = share_of(fields["percentage"], below(place, "percentage"))
        lasts = fields.get("for_seconds")
        seconds = None if lasts is None else duration_of(lasts, below(place, "for_seconds"))
        stages.append(Stage(share, seconds))
    if not stages:
        raise InvalidError("must have at least one step", path=path)
    return tuple(stages)


def _serve(fields: Mapping[str, Any]) -> str | Split | None:
    if "split" not in fields:
        return _variant(fields, "variant")
    if "variant" in fields:
        raise InvalidError("give either variant or split", path="split")
    weights = object_of(fields["split"], "split")
    # Which variants there are, is known only when it is decided.
    with refusing():
        serve = reading.serve_of({"split": weights}, weights, "")
    assert isinstance(serve, Split)
    return serve


def _variant(fields: Mapping[str, Any], name: str) -> str | None:
    given = fields.get(name)
    return None if given is None else text_of(given, name, MAX_NAME, 1)
