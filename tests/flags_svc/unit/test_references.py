"""Ways along which items ask for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from flags_svc.domain import decisions
from flags_svc.domain.bulk import import_items, items_of
from flags_svc.domain.checking import MAX_DEPTH
from flags_svc.domain.references import cycle_in, longest_way
from tests.flags_svc.worlds import after, flag, world
from windsock_kit.errors import ConflictError, InvalidError


def along(ways: dict[str, str]) -> Callable[[str], Iterable[str]]:
    return lambda key: ways.get(key, "").split()


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ({}, []),
        ({"a": "b c", "b": "d", "c": "d"}, []),
        ({"a": "a"}, ["a", "a"]),
        ({"a": "b", "b": "c", "c": "a"}, ["a", "b", "c", "a"]),
        ({"a": "b", "b": "c", "c": "b"}, ["b", "c", "b"]),
        ({"b": "c", "c": "b"}, ["b", "c", "b"]),
    ],
)
def test_a_way_back_is_found(ways: dict[str, str], expected: list[str]) -> None:
    assert cycle_in("ab", along(ways)) == expected


def test_each_key_is_looked_at_once() -> None:
    looked: Counter[int] = Counter()

    def needs(key: str) -> list[str]:
        looked[int(key)] += 1
        return [str(each) for each in (int(key) + 1, int(key) + 2) if each < 5_000]

    assert cycle_in(map(str, range(5_000)), needs) == []
    assert looked == dict.fromkeys(range(5_000), 1)


def test_an_import_is_refused_where_it_closes_a_circle() -> None:
    asks = [{"flag": "other", "variants": ["on"]}]
    back = [{"flag": "new", "variants": ["on"]}]
    document = {
        "flags": [
            {"key": "leads-there", "type": "boolean", "prerequisites": back},
            {"key": "new", "type": "boolean", "prerequisites": asks},
            {"key": "other", "type": "boolean", "prerequisites": back},
        ]
    }

    with pytest.raises(InvalidError, match="new → other → new") as refused:
        import_items(items_of(document))(world())

    assert refused.value.path == "flags[1].prerequisites"


def test_who_asks_for_what_is_gone_is_named_once() -> None:
    asks = [{"flag": "new", "variants": ["on"]}, {"flag": "new", "variants": ["off"]}]
    before = world(flag(), flag("other"), flag("asking", prerequisites=asks))

    with pytest.raises(ConflictError, match=r"is used by flag asking$"):
        decisions.delete("flag", "new")(before)


def test_the_longest_way_counts() -> None:
    assert longest_way([], along({})) == 0
    assert longest_way("abc", along({"a": "b d", "b": "c", "c": "d"})) == 4


@pytest.mark.parametrize("kind", ["flags", "segments"])
def test_who_asks_for_others_in_too_long_a_row_is_refused(kind: str) -> None:
    def item(number: int, last: int) -> dict[str, Any]:
        end, following = number == last, f"k{number + 1}"
        if kind == "segments":
            when = {"attribute": "a", "operator": "exists"} if end else {"segment": following}
            return {"key": f"k{number}", "when": when}
        asks = [] if end else [{"flag": following, "variants": ["on"]}]
        return {"key": f"k{number}", "type": "boolean", "prerequisites": asks}

    row = import_items(items_of({kind: [item(number, MAX_DEPTH) for number in range(1, 21)]}))
    longer = import_items(items_of({kind: [item(0, MAX_DEPTH)]}))
    before = after(world(), row)

    with pytest.raises(InvalidError, match=f"more than {MAX_DEPTH} {kind}"):
        longer(before)
