"""What people can do to flags, segments and environments, decided on the newest world."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flags_svc.domain.checking import checked
from flags_svc.domain.deciding import Decide, edit_of, held, kind_of, name_of, part_of
from flags_svc.domain.documents import item_document, item_of
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.names import check_free
from flags_svc.domain.patching import patched
from flags_svc.domain.schedule import unscheduled
from flags_svc.domain.world import Edit, Item, ItemKind, World
from windsock_kit.errors import ConflictError, InvalidError
from windsock_kit.preconditions import PreconditionFailedError


def create(item: Item) -> Decide:
    """Return the decision to make an item; raises ``ConflictError`` if it is there."""
    kind, key = kind_of(item), name_of(item)

    def decide(world: World) -> Sequence[Edit]:
        if key in part_of(world, kind):
            raise ConflictError(f"{kind} {key} exists already")
        if kind == "flag":
            check_free(key)
        return checked(world, [Edit(kind, key, item, "create")])

    return decide


def replace(item: Item, expected: int | None = None) -> Decide:
    """Return the decision to put an item in the place of the one of its key."""
    kind, key = kind_of(item), name_of(item)

    def decide(world: World) -> Sequence[Edit]:
        before = held(part_of(world, kind), kind, key, expected)
        return checked(world, edit_of(kind, key, before, item, "replace"))

    return decide


def put(
    item: Item,
    expected: int | None = None,
    *,
    must_be_there: bool = False,
    unwanted: Callable[[int], bool] = lambda _: False,
) -> Decide:
    """Return the decision to have an item under its key, made or in the place of the one there.

    Raises ``PreconditionFailedError`` if there is none and one ``must_be_there``, or one of a
    version that is ``unwanted``.
    """
    kind, key = kind_of(item), name_of(item)
    made, replaced = create(item), replace(item, expected)

    def decide(world: World) -> Sequence[Edit]:
        stored = part_of(world, kind).get(key)
        if stored is None:
            if must_be_there:
                raise PreconditionFailedError(f"there is no {kind} {key}")
            return made(world)
        if unwanted(stored.version):
            raise PreconditionFailedError(f"there is {kind} {key} already")
        return replaced(world)

    return decide


def patch(kind: ItemKind, key: str, changes: object, expected: int | None = None) -> Decide:
    """Return the decision to merge ``changes`` into an item, as RFC 7396 has it.

    A fallthrough of another form (a variant, a split, a rollout) takes the place of the present one.
    """
    if not isinstance(changes, dict):
        raise InvalidError("must be an object", path="")

    def decide(world: World) -> Sequence[Edit]:
        before = held(part_of(world, kind), kind, key, expected)
        after = item_of(kind, patched(item_document(before), changes), key=key)
        return checked(world, edit_of(kind, key, before, after, "patch"))

    return decide


def delete(kind: ItemKind, key: str, expected: int | None = None) -> Decide:
    """Return the decision to remove an item that nothing else goes by."""

    def decide(world: World) -> Sequence[Edit]:
        held(part_of(world, kind), kind, key, expected)
        return checked(world, [Edit(kind, key, None, "delete")])

    return decide


def revert(
    kind: ItemKind, key: str, item: Item | None, version: int, expected: int | None = None
) -> Decide:
    """Return the decision to make an item what it was at ``version``, also one that is deleted.

    What its schedule was to do later is not done again. Raises ``ConflictError`` if it was
    deleted at that version.
    """

    def decide(world: World) -> Sequence[Edit]:
        stored = part_of(world, kind).get(key)
        before = (
            None
            if stored is None and expected is None
            else held(part_of(world, kind), kind, key, expected)
        )
        if item is None:
            raise ConflictError(
                f"at version {version}, {kind} {key} was deleted; delete it instead"
            )
        wanted = unscheduled(item) if isinstance(item, ManagedFlag) else item
        return checked(world, edit_of(kind, key, before, wanted, "revert"))

    return decide
