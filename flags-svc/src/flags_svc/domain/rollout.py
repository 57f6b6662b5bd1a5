"""A share of the users, at once or growing over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from flags_svc.domain.flag import InEnvironment, ManagedFlag, Step
from windsock.flags.definition import BOOLEAN, EVERYBODY, Rollout, Split
from windsock.flags.writing import percentage_of
from windsock_kit.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Stage:
    """A share that holds for some seconds; ``None`` for the last one, which holds for good."""

    share: int
    for_seconds: float | None = None


def rolled_out(
    flag: ManagedFlag, what: InEnvironment, share: int, serve: str | Split | None = None
) -> InEnvironment:
    """Return what a flag does when ``share`` of the users get ``serve``; ``None`` is what is rolled out now.

    That is what the present rollout or split gives, else the default variant. A boolean flag's
    split gives way to the default variant: 25 % of such a flag means that 25 % have it on. Who got
    another variant than that so far keeps it as long as not in.
    """
    now = what.fallthrough
    otherwise: str | None = None
    if isinstance(now, Rollout):
        serve, otherwise = serve or now.serve, now.otherwise
    elif isinstance(now, Split):
        serve = serve or (flag.default_variant if flag.type == BOOLEAN else now)
    else:
        serve = serve or flag.default_variant
        if now not in {None, serve, flag.off_variant}:
            otherwise = now
    return replace(what, fallthrough=Rollout(share, serve, otherwise))


def stages_of(stages: Sequence[Stage], *, at: float, path: str = "steps") -> tuple[Step, ...]:
    """Return the schedule of a progressive rollout that begins at ``at``; raises ``InvalidError``."""
    if not stages:
        raise InvalidError("must have at least one step", path=path)
    steps = [Step(at=at, percentage=stages[0].share)]
    for index, (before, stage) in enumerate(pairwise(stages)):
        if before.for_seconds is None:
            raise InvalidError(
                "only the last step lasts for good", path=f"{path}[{index}].for_seconds"
            )
        steps.append(Step(after_seconds=before.for_seconds, percentage=stage.share))
    if stages[-1].for_seconds is not None:
        raise InvalidError(
            "the last step lasts for good", path=f"{path}[{len(stages) - 1}].for_seconds"
        )
    return tuple(steps)


def warnings_of(flag: ManagedFlag, environment: str) -> list[str]:
    """Return why a rollout in an environment may not do what is expected of it."""
    what = flag.environments[environment]
    found = what.fallthrough
    if not isinstance(found, Rollout):
        return []
    warnings: list[str] = []
    if not what.enabled:
        warnings.append(
            f"{flag.key} is disabled in {environment}: everybody gets {flag.off_variant!r}"
            " until it is enabled"
        )
        if any(step.done_at is None for step in what.schedule):
            warnings.append("to enable it by hand ends the schedule: enable it, and roll out again")
    otherwise = flag.off_variant if found.otherwise is None else found.otherwise
    if found.serve == otherwise:
        warnings.append(f"who is in and who is not both get {otherwise!r}")
    if isinstance(found.serve, Split):
        total = sum(found.serve.weights.values())
        parts = (
            f"{percentage_of(round(found.share * weight / total))} % {variant!r}"
            for variant, weight in found.serve.weights.items()
        )
        warnings.append(f"the share is split: of all users, {', '.join(parts)}")
    if found.share == EVERYBODY and (what.rules or what.targets):
        warnings.append("targets and rules go before it: some may get something else")
    return warnings
