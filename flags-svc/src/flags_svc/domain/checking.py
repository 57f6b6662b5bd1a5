"""Whether edits leave everything whole: what is asked for is there, and nothing asks for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flags_svc.domain.fields import below
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.references import (
    Preview,
    cycle_in,
    longest_way,
    place_in,
    prerequisites_of,
    segments_in,
    segments_of_rules,
    segments_of_segment,
)
from flags_svc.domain.world import Edit, ItemKind, World
from windsock.flags.definition import Clause, Prerequisite, Segment, Target
from windsock_kit.errors import ConflictError, InvalidError

MAX_FLAGS = 20_000
MAX_SEGMENTS = 5_000
MAX_ENVIRONMENTS = 50
# Each step of an evaluation waits for those below it.
MAX_DEPTH = 20
_MAX_NAMED = 10


def checked(
    world: World, edits: Sequence[Edit], paths: Sequence[str] | None = None
) -> Sequence[Edit]:
    """Return ``edits``; raises ``InvalidError`` or ``ConflictError`` if the world after them would not be whole.

    ``paths`` are where the items stand in what was sent.
    """
    preview = Preview(world, edits)
    for index, edit in enumerate(edits):
        path = "" if paths is None else paths[index]
        if isinstance(edit.item, ManagedFlag):
            before = world.flags.get(edit.key)
            _check_flag(preview, edit.item, path)
            _check_targets(None if before is None else before.item, edit.item, path)
        elif isinstance(edit.item, Segment):
            _check_segment(preview, edit.item, path)
    given = [""] * len(edits) if paths is None else paths
    places = {(edit.kind, edit.key): path for edit, path in zip(edits, given, strict=True)}
    _refuse_cycles("flag", edits, places, lambda key: _needs(preview, key), "prerequisites")
    _refuse_cycles("segment", edits, places, lambda key: _made_of(preview, key), "when")
    _refuse_depth(preview, edits, places)
    _check_users(world, preview, edits)
    _check_room(world, preview)
    return edits


def _check_flag(preview: Preview, flag: ManagedFlag, path: str) -> None:
    for name, each in flag.environments.items():
        place = below(path, f"environments.{name}")
        if preview.environment(name) is None:
            raise InvalidError(
                f"there is no environment {name}", path=place, allowed=preview.environments()
            )
        for index, rule in enumerate(each.rules):
            _check_segments(preview, rule.when, f"{place}.rules[{index}].when")
    for index, prerequisite in enumerate(flag.prerequisites):
        _check_prerequisite(preview, flag, prerequisite, below(path, f"prerequisites[{index}]"))


def _check_segments(preview: Preview, clause: Clause, path: str) -> None:
    for key in sorted({*segments_in(clause)}):
        if preview.segment(key) is None:
            raise InvalidError(f"there is no segment {key}", path=place_in(clause, key, path))


def _check_targets(before: ManagedFlag | None, flag: ManagedFlag, path: str) -> None:
    """Refuse to promise two variants to one user.

    What was kept before this was refused is left alone as long as nobody touches it: such a flag
    can be switched off.
    """
    known = {} if before is None else before.environments
    for name, each in flag.environments.items():
        if name not in known or known[name].targets != each.targets:
            _check_promises(each.targets, below(path, f"environments.{name}.targets"))


def _check_promises(targets: Sequence[Target], path: str) -> None:
    given: dict[str, int] = {}
    for index, target in enumerate(targets):
        for key in sorted(target.keys):
            first = given.setdefault(key, index)
            if targets[first].variant != target.variant:
                raise InvalidError(
                    f"{key[:100]!r} is in targets[{first}] already, which gives"
                    f" {targets[first].variant!r}",
                    path=f"{path}[{index}].keys",
                )


def _check_prerequisite(
    preview: Preview, flag: ManagedFlag, prerequisite: Prerequisite, path: str
) -> None:
    needed = preview.flag(prerequisite.flag)
    # An archived flag does nothing, and may ask for what is archived too.
    if needed is None or (needed.archived and not flag.archived):
        state = "no" if needed is None else "only an archived"
        raise InvalidError(f"there is {state} flag {prerequisite.flag}", path=f"{path}.flag")
    for variant in sorted(prerequisite.variants):
        if variant not in needed.variants:
            raise InvalidError(
                f"{variant!r} is none of the variants of {needed.key}",
                path=f"{path}.variants",
                allowed=[*needed.variants],
            )


def _needs(preview: Preview, key: str) -> Iterable[str]:
    flag = preview.flag(key)
    return () if flag is None else prerequisites_of(flag)


def _check_segment(preview: Preview, segment: Segment, path: str) -> None:
    if segment.when is not None:
        _check_segments(preview, segment.when, below(path, "when"))


def _made_of(preview: Preview, key: str) -> Iterable[str]:
    segment = preview.segment(key)
    return () if segment is None else segments_of_segment(segment)


def _refuse_cycles(
    kind: ItemKind,
    edits: Sequence[Edit],
    places: Mapping[tuple[ItemKind, str], str],
    needs: Callable[[str], Iterable[str]],
    member: str,
) -> None:
    """Refuse items that ask for themselves, by however long a way: without an edited one in it there is none."""
    edited = [edit.key for edit in edits if edit.kind == kind and edit.item is not None]
    way = cycle_in(edited, needs)
    if way:
        key = next(key for key in edited if key in way)
        begin = way.index(key)
        told = " → ".join([*way[begin:-1], *way[:begin], key])
        raise InvalidError(
            f"a {kind} cannot ask for itself: {told}", path=below(places[kind, key], member)
        )


def _refuse_depth(
    preview: Preview, edits: Sequence[Edit], places: Mapping[tuple[ItemKind, str], str]
) -> None:
    """Refuse items that ask for others that ask for others, and so on without an end in sight."""
    flags = [each.key for each in edits if each.kind == "flag" and [*_needs(preview, each.key)]]
    if flags:
        asking = (flag.key for flag in preview.flags() if flag.prerequisites)
        if longest_way(asking, lambda key: _needs(preview, key)) > MAX_DEPTH:
            raise _too_deep("flags", below(places["flag", flags[0]], "prerequisites"))
    segments = [
        each.key for each in edits if each.kind == "segment" and [*_made_of(preview, each.key)]
    ]
    if segments:
        made = (segment.key for segment in preview.segments())
        if longest_way(made, lambda key: _made_of(preview, key)) > MAX_DEPTH:
            raise _too_deep("segments", below(places["segment", segments[0]], "when"))


def _too_deep(what: str, path: str) -> InvalidError:
    return InvalidError(
        f"more than {MAX_DEPTH} {what} would ask for each other in a row", path=path
    )


def _check_users(world: World, preview: Preview, edits: Sequence[Edit]) -> None:
    """Refuse to take away what others go by."""
    askers: Mapping[str, Sequence[ManagedFlag]] | None = None
    for edit in edits:
        if edit.kind == "flag":
            lost = _lost_of_flag(world, preview, edit.key)
            if lost:
                askers = _askers(preview) if askers is None else askers
                _refuse_used(lost, _users_of_flag(preview, edit.key, askers.get(edit.key, ())))
        elif edit.item is None and edit.kind == "segment":
            _refuse_used(f"segment {edit.key}", users_of_segment(preview, edit.key))
        elif edit.item is None:
            _refuse_used(f"environment {edit.key}", users_of_environment(preview, edit.key))


def _askers(preview: Preview) -> Mapping[str, Sequence[ManagedFlag]]:
    """Return which flags ask for a flag, by its key."""
    found: dict[str, list[ManagedFlag]] = {}
    for flag in preview.flags():
        for key in prerequisites_of(flag):
            found.setdefault(key, []).append(flag)
    return found


def _lost_of_flag(world: World, preview: Preview, key: str) -> str:
    """Return what of a flag others may have gone by and is no more."""
    before, after = world.flags.get(key), preview.flag(key)
    if before is None:
        return ""
    if after is None or (after.archived and not before.item.archived):
        return f"flag {key}"
    gone = [variant for variant in before.item.variants if variant not in after.variants]
    return f"variant {', '.join(gone)} of flag {key}" if gone else ""


def _users_of_flag(preview: Preview, key: str, askers: Iterable[ManagedFlag]) -> Iterator[str]:
    """Return who asks for a flag in a way that it does not answer."""
    needed = preview.flag(key)
    for flag in askers:
        wanted = {name for each in flag.prerequisites if each.flag == key for name in each.variants}
        if (
            needed is None
            or (needed.archived and not flag.archived)
            or not wanted <= needed.variants.keys()
        ):
            yield f"flag {flag.key}"


def users_of_segment(preview: Preview, key: str) -> Iterator[str]:
    """Return who asks for a segment."""
    for segment in preview.segments():
        if key in segments_of_segment(segment):
            yield f"segment {segment.key}"
    for flag in preview.flags():
        for name, each in flag.environments.items():
            if key in segments_of_rules(each):
                yield f"flag {flag.key} in {name}"


def users_of_environment(preview: Preview, name: str) -> Iterator[str]:
    """Return which flags name an environment."""
    return (f"flag {flag.key}" for flag in preview.flags() if name in flag.environments)


def _refuse_used(what: str, users: Iterable[str]) -> None:
    found = list(users)
    if found:
        more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
        raise ConflictError(
            f"{what} is used by {', '.join(found[:_MAX_NAMED])}{more}",
            extra={"used_by": found[:100]},
        )


def _check_room(world: World, preview: Preview) -> None:
    parts: list[tuple[str, Mapping[str, Any], int]] = [
        ("flag", world.flags, MAX_FLAGS),
        ("segment", world.segments, MAX_SEGMENTS),
        ("environment", world.environments, MAX_ENVIRONMENTS),
    ]
    for kind, held, most in parts:
        edited = [(key, item) for (found, key), item in preview.edited.items() if found == kind]
        made = sum(item is not None and key not in held for key, item in edited)
        lost = sum(item is None and key in held for key, item in edited)
        if made > lost and len(held) + made - lost > most:
            raise ConflictError(
                f"there are {len(held)} {kind}s, and more than {most} are not possible"
            )
