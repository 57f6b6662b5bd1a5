"""What is in force in one environment, as evaluators take it."""

from __future__ import annotations

from flags_svc.domain.flag import InEnvironment, ManagedFlag
from flags_svc.domain.world import World
from windsock.flags.definition import Flag, FlagSet

_NOWHERE = InEnvironment()


def project(flag: ManagedFlag, environment: str) -> Flag | None:
    """Return a flag as it is in an environment; disabled where it is not named, ``None`` when archived."""
    if flag.archived:
        return None
    found = flag.environments.get(environment, _NOWHERE)
    return Flag(
        key=flag.key,
        type=flag.type,
        variants=flag.variants,
        enabled=found.enabled,
        off_variant=flag.off_variant,
        fallthrough=flag.default_variant if found.fallthrough is None else found.fallthrough,
        prerequisites=flag.prerequisites,
        targets=found.targets,
        rules=found.rules,
        salt=flag.salt,
        rollout_salt=flag.rollout_salt,
        bucket_by=flag.bucket_by,
    )


def project_world(world: World, environment: str) -> FlagSet:
    """Return all flags and segments as they are in an environment; archived flags are left out."""
    projected = (project(stored.item, environment) for stored in world.flags.values())
    return FlagSet(
        {flag.key: flag for flag in projected if flag is not None},
        {key: stored.item for key, stored in world.segments.items()},
    )
