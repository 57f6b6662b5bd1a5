"""What people can do to a flag in one environment, and over its life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from flags_svc.domain.checking import checked
from flags_svc.domain.deciding import Decide, edit_of, held
from flags_svc.domain.flag import InEnvironment, ManagedFlag, Step
from flags_svc.domain.rollout import Stage, rolled_out, stages_of
from flags_svc.domain.schedule import done, unscheduled, without_steps_to_come
from flags_svc.domain.times import to_milliseconds
from flags_svc.domain.world import Edit, World
from windsock.flags.definition import Rollout, Split
from windsock_kit.errors import ConflictError, InvalidError, NotFoundError

Act = Callable[[ManagedFlag, InEnvironment], InEnvironment]


def enable(key: str, environment: str, expected: int | None = None) -> Decide:
    """Return the decision to let a flag's rules be in force; what its schedule was to do later is off."""
    return _in_environment(
        key, environment, "enable", lambda _, what: _switched(what, True), expected
    )


def disable(key: str, environment: str, expected: int | None = None) -> Decide:
    """Return the decision to give everybody the off variant; what its schedule was to do later is off."""
    return _in_environment(
        key, environment, "disable", lambda _, what: _switched(what, False), expected
    )


def rollout(
    key: str,
    environment: str,
    share: int,
    *,
    serve: str | Split | None = None,
    otherwise: str | None = None,
    expected: int | None = None,
) -> Decide:
    """Return the decision to give ``share`` of the users what ``rolled_out`` says; it enables nothing.

    ``otherwise`` is who is not in gets, ``None`` for what that is now.
    """

    def act(flag: ManagedFlag, what: InEnvironment) -> InEnvironment:
        return _served(flag, without_steps_to_come(what), share, serve, otherwise)

    return _in_environment(key, environment, "rollout", act, expected)


def progressive_rollout(
    key: str,
    environment: str,
    stages: Sequence[Stage],
    *,
    now: float,
    at: float | None = None,
    serve: str | Split | None = None,
    otherwise: str | None = None,
    expected: int | None = None,
) -> Decide:
    """Return the decision to grow a rollout in ``stages``, from ``at`` on or at once.

    The schedule takes the place of the present one. Raises ``InvalidError`` for stages of which
    another than the last has no end, and for a ``serve`` that would have to wait.
    """
    begin = to_milliseconds(now if at is None else at)
    steps = stages_of(stages, at=begin)
    if begin > now and (serve is not None or otherwise is not None):
        raise InvalidError(
            "what a rollout gives can be said only when it begins at once",
            path="variant" if serve is not None else "otherwise",
        )

    def act(flag: ManagedFlag, what: InEnvironment) -> InEnvironment:
        if begin > now:
            return replace(what, schedule=steps)
        first = _served(flag, what, stages[0].share, serve, otherwise)
        return done(flag, replace(first, schedule=steps), now)

    return _in_environment(key, environment, "rollout", act, expected)


def schedule(
    key: str, environment: str, steps: Sequence[Step], expected: int | None = None
) -> Decide:
    """Return the decision to put ``steps`` in the place of a flag's schedule; none ends it."""

    def act(_: ManagedFlag, what: InEnvironment) -> InEnvironment:
        return replace(what, schedule=tuple(steps))

    return _in_environment(key, environment, "schedule", act, expected)


def archive(key: str, expected: int | None = None) -> Decide:
    """Return the decision to put a flag aside: it is in force nowhere, and can be restored."""

    def decide(world: World) -> Sequence[Edit]:
        flag = held(world.flags, "flag", key, expected)
        after = replace(unscheduled(flag), archived=True)
        return checked(world, edit_of("flag", key, flag, after, "archive"))

    return decide


def restore(key: str, expected: int | None = None) -> Decide:
    """Return the decision to have an archived flag in force again as it was."""

    def decide(world: World) -> Sequence[Edit]:
        flag = held(world.flags, "flag", key, expected)
        return checked(world, edit_of("flag", key, flag, replace(flag, archived=False), "restore"))

    return decide


def _in_environment(
    key: str, environment: str, action: str, act: Act, expected: int | None
) -> Decide:
    def decide(world: World) -> Sequence[Edit]:
        flag = held(world.flags, "flag", key, expected)
        if environment not in world.environments:
            raise NotFoundError(
                f"there is no environment {environment}",
                path="environment",
                allowed=sorted(world.environments),
            )
        if flag.archived:
            raise ConflictError(f"flag {key} is archived; restore it first")
        after = act(flag, flag.environments.get(environment, InEnvironment()))
        environments = {**flag.environments, environment: after}
        changed = replace(flag, environments=dict(sorted(environments.items())))
        return checked(world, edit_of("flag", key, flag, changed, action))

    return decide


def _switched(what: InEnvironment, enabled: bool) -> InEnvironment:
    return replace(without_steps_to_come(what), enabled=enabled)


def _served(
    flag: ManagedFlag,
    what: InEnvironment,
    share: int,
    serve: str | Split | None,
    otherwise: str | None,
) -> InEnvironment:
    _check_serve(flag, serve, "variant")
    _check_serve(flag, otherwise, "otherwise")
    after = rolled_out(flag, what, share, serve)
    assert isinstance(after.fallthrough, Rollout)
    if otherwise is None:
        return after
    return replace(after, fallthrough=replace(after.fallthrough, otherwise=otherwise))


def _check_serve(flag: ManagedFlag, serve: str | Split | None, path: str) -> None:
    given = [] if serve is None else [serve] if isinstance(serve, str) else [*serve.weights]
    for variant in given:
        if variant not in flag.variants:
            raise InvalidError(
                f"{variant[:50]!r} is none of the variants", path=path, allowed=[*flag.variants]
            )
