"""Many items at once, and the ones that are there at first."""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson
import pytest

import adaptive_questions
import flags_svc
from flags_svc.domain.bulk import OnConflict, export, import_items, items_of
from flags_svc.domain.projection import project, project_world
from flags_svc.domain.world import World
from flags_svc.wire.changes import change_document, change_of
from tests.flags_svc.worlds import after, changes, flag, rolled, segment, world
from windsock.flags.reading import read_document
from windsock_kit.errors import ConflictError, InvalidError

SEEDS = orjson.loads(resources.files(flags_svc).joinpath("seeds/flags.json").read_bytes())
LATE: dict[str, Any] = {"flags": [{"key": "new", "type": "boolean", "owner": "late"}]}


def test_what_is_exported_can_be_imported_elsewhere() -> None:
    here = world(
        flag("b", prerequisites=[{"flag": "a", "variants": ["on"]}]), rolled("a"), segment()
    )

    there = after(World("other"), import_items(items_of(export(here))))

    assert export(there) == export(here)
    assert [each["key"] for each in export(there)["flags"]] == ["a", "b"]
    assert import_items(items_of(export(here)))(there) == []


def test_what_is_there_is_replaced() -> None:
    found = after(world(flag(), flag("other")), import_items(items_of(LATE)))

    assert found.flags["new"].item.owner == "late"
    assert "other" in found.flags


def test_what_is_there_can_be_left_as_it_is() -> None:
    given = items_of({"flags": [*LATE["flags"], {"key": "more", "type": "boolean"}]})

    (edit,) = import_items(given, OnConflict.SKIP)(world(flag()))

    assert (edit.key, edit.action) == ("more", "import")


def test_an_import_over_what_is_there_can_be_refused() -> None:
    with pytest.raises(ConflictError, match=r"^flag new exist already") as refused:
        import_items(items_of(LATE), OnConflict.REFUSE)(world(flag()))

    assert refused.value.extra == {"existing": ["flag new"]}


def test_of_many_that_are_there_some_are_named() -> None:
    many = [flag(f"f{n:02}") for n in range(11)]

    with pytest.raises(ConflictError, match="f09 and others exist"):
        import_items(items_of({"flags": export(world(*many))["flags"]}), OnConflict.REFUSE)(
            world(*many)
        )


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], ""),
        ({"rules": []}, "rules"),
        ({"flags": {}}, "flags"),
        ({"flags": [LATE["flags"][0], {"key": "b", "type": "x"}]}, "flags[1].type"),
        ({"flags": LATE["flags"] * 2}, "flags[1]"),
        ({"segments": [{"key": "a", "included": 5}]}, "segments[0].included"),
    ],
    ids=["list", "unknown", "object", "wrong", "twice", "segment"],
)
def test_a_mistake_is_told_with_its_place(value: object, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        items_of(value)

    assert refused.value.path == path


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"key": "stale"}, "flags[0].key"),
        ({"key": "a", "environments": {"moon": {}}}, "flags[0].environments.moon"),
        (
            {"key": "a", "prerequisites": [{"flag": "b", "variants": ["on"]}]},
            "flags[0].prerequisites[0].flag",
        ),
    ],
    ids=["address", "environment", "flag"],
)
def test_what_does_not_fit_is_told_with_its_place(item: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        import_items(items_of({"flags": [{"type": "boolean", **item}]}))(world())

    assert refused.value.path == path


def test_the_seeds_do_what_the_workload_does_by_itself() -> None:
    own = resources.files(adaptive_questions).joinpath("flags.json").read_bytes()

    seeded = after(World("epoch"), import_items(items_of(SEEDS)))

    for environment in ("production", "staging", "development"):
        assert project_world(seeded, environment) == read_document(own)
        assert orjson.dumps(SEEDS["flags"][0]["environments"][environment]["fallthrough"])


def test_the_order_of_every_split_of_the_seeds_is_that_of_the_variants() -> None:
    for each in SEEDS["flags"]:
        for environment in each["environments"].values():
            assert [*environment["fallthrough"]["split"]] == [*each["variants"]]


def test_an_archived_flag_is_in_force_nowhere() -> None:
    assert project(flag(archived=True), "production") is None
    assert [*project_world(world(flag(archived=True), flag("a")), "production").flags] == ["a"]


def test_a_flag_is_disabled_where_it_is_not_named() -> None:
    found = project(rolled(), "staging")

    assert found is not None
    assert (found.enabled, found.off_variant, found.fallthrough) == (False, "off", "on")


def test_changes_travel_as_json() -> None:
    made = changes(world(), import_items(items_of(SEEDS)))
    deleted = [*made, *changes(world(flag()), lambda _: [])]

    for change in deleted:
        assert change_of(orjson.loads(orjson.dumps(change_document(change)))) == change
