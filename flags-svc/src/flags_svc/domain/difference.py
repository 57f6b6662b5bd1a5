"""What is different between two items as they are written."""

from __future__ import annotations

from typing import Any

from flags_svc.domain.documents import item_document
from flags_svc.domain.fields import below
from flags_svc.domain.world import Item

Difference = dict[str, Any]
_ABSENT = object()


def difference(before: Item | None, after: Item | None) -> list[Difference]:
    """Return what has changed: ``path``, ``before`` and ``after``, of which what was not there is left out.

    Of an item that was made or deleted that is the whole, with an empty path.
    """
    return list(
        _between(
            _ABSENT if before is None else item_document(before),
            _ABSENT if after is None else item_document(after),
            "",
        )
    )


def _between(before: Any, after: Any, path: str) -> list[Difference]:
    if isinstance(before, dict) and isinstance(after, dict) and not _is_reordered(before, after):
        return [
            each
            for name in dict.fromkeys([*before, *after])
            for each in _between(
                before.get(name, _ABSENT), after.get(name, _ABSENT), below(path, name)
            )
        ]
    if _is_of_objects(before) and _is_of_objects(after):
        return _between_lists(before, after, path)
    if _is_same(before, after):
        return []
    found = {"before": before, "after": after}
    return [{"path": path, **{name: each for name, each in found.items() if each is not _ABSENT}}]


def _is_same(before: Any, after: Any) -> bool:
    # To Python, 1, 1.0 and true are the same.
    return type(before) is type(after) and repr(before) == repr(after)


def _is_reordered(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether the same members stand in another order, by which a split goes."""
    return before.keys() == after.keys() and [*before] != [*after]


def _is_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _between_lists(before: list[Any], after: list[Any], path: str) -> list[Difference]:
    """Compare what is left when equal beginnings and ends are set aside, one by one."""
    start = 0
    while start < min(len(before), len(after)) and _is_same(before[start], after[start]):
        start += 1
    ends = [len(before), len(after)]
    while min(ends) > start and _is_same(before[ends[0] - 1], after[ends[1] - 1]):
        ends = [ends[0] - 1, ends[1] - 1]
    return [
        each
        for index in range(start, max(ends))
        for each in _between(
            before[index] if index < ends[0] else _ABSENT,
            after[index] if index < ends[1] else _ABSENT,
            f"{path}[{index}]",
        )
    ]
