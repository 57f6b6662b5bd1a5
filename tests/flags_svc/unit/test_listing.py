"""Which flags somebody wants to see, and what flags from elsewhere keep of those here."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain.bulk import Given
from flags_svc.domain.flag import Kind
from flags_svc.domain.importing import kept_elsewhere
from flags_svc.domain.listing import Archived, FlagType, Sought, found
from tests.flags_svc.worlds import flag, rolled, segment, world

FLAGS = world(
    flag("b", owner="search", tags=["ui"], kind="operational"),
    rolled("a"),
    flag("c", description="The new Dashboard."),
    flag("d", archived=True, environments={"production": {"enabled": True}}),
)


@pytest.mark.parametrize(
    ("sought", "expected"),
    [
        (Sought(), "abc"),
        (Sought(archived=Archived.YES), "d"),
        (Sought(archived=Archived.ANY), "abcd"),
        (Sought(kind=Kind.OPERATIONAL), "b"),
        (Sought(type=FlagType.STRING), ""),
        (Sought(type=FlagType.BOOLEAN), "abc"),
        (Sought(owner="search"), "b"),
        (Sought(tag="ui"), "b"),
        (Sought(enabled_in="production"), "a"),
        (Sought(disabled_in="production", archived=Archived.ANY), "bcd"),
        (Sought(text="DASH"), "c"),
        (Sought(text="B"), "bc"),
    ],
    ids=lambda value: None,
)
def test_flags_are_found_by_what_they_are(sought: Sought, expected: str) -> None:
    assert "".join(stored.item.key for stored in found(FLAGS, sought)) == expected


HERE = flag(
    owner="search",
    kind="permission",
    tags=["ui"],
    environments={"staging": {"enabled": True}, "production": {"enabled": True}},
)


def test_an_import_of_one_environment_keeps_the_others() -> None:
    given = [Given(rolled(enabled=False), "flags.new"), Given(segment(), "segments[0]")]

    kept = kept_elsewhere(world(HERE), given, "production")

    item: Any = kept[0].item
    assert item.environments["staging"].enabled
    assert not item.environments["production"].enabled
    assert (item.owner, item.tags, item.kind) == ("search", ("ui",), "permission")
    assert kept[1] == given[1]


@pytest.mark.parametrize(
    "here",
    [
        flag("other"),
        flag(variants={"on": True, "off": False, "third": True}),
        flag(type="string", variants={"a": "b"}, default_variant="a", off_variant="a"),
    ],
    ids=["none", "variant", "type"],
)
def test_what_does_not_fit_is_not_kept(here: Any) -> None:
    given = [Given(rolled(), "flags.new")]

    assert kept_elsewhere(world(here), given, "production") == given
