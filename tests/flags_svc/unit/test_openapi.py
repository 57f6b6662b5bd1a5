"""openapi.yaml beside the documents that are read, the errors and the words of the code, both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import get_args

import pytest

from flags_svc.app import create_app
from flags_svc.conversion.outcome import Converted
from flags_svc.domain.bulk import items_of
from flags_svc.domain.change_request import Status
from flags_svc.domain.documents import (
    LIFETIMES,
    TOLD_ONLY,
    environment_item_of,
    flag_of,
    segment_document,
    segment_of,
)
from flags_svc.domain.flag import Kind
from flags_svc.domain.listing import Archived, FlagType
from flags_svc.domain.names import RESERVED
from flags_svc.domain.staleness import DEFAULT_DAYS, Reason
from flags_svc.domain.world import ItemKind
from flags_svc.routes.imports import MAX_IMPORT_BYTES, Source, Wanted
from flags_svc.settings import Settings
from flags_svc.version import VERSION
from flags_svc.wire.bodies import planned_of, rollout_of
from flags_svc.wire.questions import question_of, question_of_several
from tests.fixtures.contract import Contract, codes_of
from windsock.flags import results
from windsock.flags.operators import OPERATORS
from windsock_kit.errors import InvalidError

CONTRACT = Contract(files("flags_svc").joinpath("openapi.yaml").read_bytes())
SETTINGS = Settings("postgresql://127.0.0.1/none")
PREFIX = "/api/feature-flags"


def test_document_and_service_have_the_same_version() -> None:
    assert CONTRACT.document["info"]["version"] == VERSION


def test_every_example_is_valid() -> None:
    found = [(pointer, CONTRACT.errors(pointer, value)) for pointer, value in CONTRACT.examples()]

    assert len(found) > 80
    assert [(pointer, errors) for pointer, errors in found if errors] == []


READERS: Mapping[str, Callable[[object], object]] = {
    "FlagBody": flag_of,
    "EnvironmentBody": environment_item_of,
    "RolloutBody": rollout_of,
    "ScheduleBody": planned_of,
    "Question": question_of,
    "QuestionOfSeveral": question_of_several,
    "ImportBody": items_of,
}


@pytest.mark.parametrize("name", READERS)
def test_a_body_has_the_members_that_are_read(name: str) -> None:
    documented = CONTRACT.schema(name)

    with pytest.raises(InvalidError) as refused:
        READERS[name]({"no such member": 1, **dict.fromkeys(documented.get("required", []), "x")})

    assert refused.value.path == "no such member"
    assert documented["additionalProperties"] is False
    told_only = {
        member
        for member, schema in documented["properties"].items()
        if str(schema.get("description", "")).endswith("eft aside.")
    }
    assert set(refused.value.allowed or ()) - told_only == set(documented["properties"]) - told_only


def test_a_segment_has_the_members_that_are_read() -> None:
    told = {"description": "x", "included": ["a"], "excluded": ["b"], "when": {"all": []}}
    written = segment_document(segment_of({"key": "x", **told}))

    members = CONTRACT.schema("SegmentBody")["properties"]

    assert written.keys() == members.keys() - set(TOLD_ONLY)
    assert members.keys() >= set(TOLD_ONLY)


WORDS: dict[str, type[StrEnum]] = {
    "Kind": Kind,
    "FlagType": FlagType,
    "StaleReason": Reason,
    "RequestStatus": Status,
}


@pytest.mark.parametrize("name", WORDS)
def test_every_word_is_listed(name: str) -> None:
    assert CONTRACT.schema(name)["enum"] == [word.value for word in WORDS[name]]


def test_words_that_are_no_schemas_of_their_own_are_listed_too() -> None:
    reasons = {
        results.STATIC, results.TARGETING_MATCH, results.SPLIT, results.DEFAULT, results.DISABLED, results.ERROR,
    }  # fmt: skip

    assert set(CONTRACT.schema("Reason")["enum"]) == reasons
    assert set(CONTRACT.schema("Operator")["enum"]) == set(OPERATORS)
    assert CONTRACT.schema("ItemKind")["enum"] == list(get_args(ItemKind))
    assert parameter("", "get", "archived")["enum"] == list(Archived)
    assert parameter("/export", "get", "format")["enum"] == list(Wanted)
    assert parameter("/import", "post", "format")["enum"] == list(Source)
    assert parameter("/stale", "get", "days")["default"] == DEFAULT_DAYS


def parameter(path: str, method: str, name: str) -> dict[str, object]:
    """Return the schema of a query parameter."""
    given = CONTRACT.document["paths"][PREFIX + path][method]["parameters"]
    found = next(each for each in map(CONTRACT.resolve, given) if each["name"] == name)
    schema: dict[str, object] = found["schema"]
    return schema


def test_what_an_import_tells_is_listed() -> None:
    assert (
        Converted().document().keys() - {"converted"}
        <= CONTRACT.schema("Imported")["properties"].keys()
    )


def test_lifetimes_are_those_of_the_code() -> None:
    text = CONTRACT.schema("FlagBody")["properties"]["lifetime_days"]["description"]

    assert {
        LIFETIMES[Kind.OPTIMIZATION],
        LIFETIMES[Kind.EXPERIMENTAL],
        LIFETIMES[Kind.ROLLOUT],
    } == {40}
    assert (LIFETIMES[Kind.OPERATIONAL], LIFETIMES[Kind.PERMISSION]) == (7, None)
    assert "40, for `operational` 7, for `permission` never" in text


def test_no_flag_can_be_called_as_another_address_is() -> None:
    words = {
        path.removeprefix(PREFIX + "/").partition("/")[0]
        for path in CONTRACT.document["paths"]
        if path.startswith(PREFIX + "/") and not path.startswith(PREFIX + "/{")
    }

    assert words <= RESERVED


def test_every_code_is_listed_and_explained() -> None:
    # The application imports every module that has an error of its own.
    create_app(SETTINGS)
    raised = codes_of("flags_svc")

    listed = CONTRACT.schema("Problem")["properties"]["code"]["enum"]

    assert set(listed) == raised
    assert [
        code for code in listed if f"`{code}`" not in CONTRACT.document["info"]["description"]
    ] == []


def test_the_bounds_of_bodies_are_those_of_the_service() -> None:
    text = " ".join(CONTRACT.document["info"]["description"].split())

    assert f"at most {SETTINGS.max_body_bytes / 2**20:g} MiB" in text
    assert f"those of imports {MAX_IMPORT_BYTES / 2**20:g}" in text
