"""openapi.yaml beside the routes, the bodies that are decoded, the errors and the examples, both ways."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, get_args

import msgspec
import pytest

from adaptive_questions.domain.gap import Language, Priority
from adaptive_questions.domain.result import Served
from adaptive_questions.settings import Settings
from adaptive_questions.wire.problems import FAILURES
from adaptive_questions.wire.reading import MAX_BODY_BYTES, MAX_DEPTH, MAX_VALUES
from adaptive_questions.wire.requests import (
    MAX_GAPS,
    BatchRequest,
    EvaluateRequest,
    GapIn,
    GenerateRequest,
    RefineRequest,
)
from tests.fixtures.contract import Contract
from windsock_kit.errors import (
    BadRequestError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    UnsupportedEncodingError,
)
from windsock_kit.health import NotReadyError
from windsock_kit.loopback import ForeignCallerError

CONTRACT = Contract(files("adaptive_questions").joinpath("openapi.yaml").read_bytes())
DESCRIPTION = CONTRACT.document["info"]["description"]
# The kit's own, and those that Starlette and a bug are answered with.
OTHER_CODES = {
    *(
        error.code
        for error in (
            BadRequestError,
            ForeignCallerError,
            InvalidError,
            NotFoundError,
            NotReadyError,
            TooLargeError,
            UnavailableError,
            UnsupportedEncodingError,
        )
    ),
    "method_not_allowed",
    "internal_error",
    "busy",
    "deadline_exceeded",
}


def test_every_example_is_valid() -> None:
    found = [(pointer, CONTRACT.errors(pointer, value)) for pointer, value in CONTRACT.examples()]

    assert len(found) > 20
    assert [(pointer, errors) for pointer, errors in found if errors] == []


BODIES: dict[str, type[msgspec.Struct]] = {
    "Gap": GapIn,
    "BatchRequest": BatchRequest,
    "GenerateRequest": GenerateRequest,
    "RefineRequest": RefineRequest,
    "EvaluateRequest": EvaluateRequest,
}


@pytest.mark.parametrize("name", BODIES)
def test_body_is_documented_as_it_is_decoded(name: str) -> None:
    _, components = msgspec.json.schema_components([BODIES[name]])
    decoded = components[BODIES[name].__name__]

    documented = CONTRACT.schema(name)

    assert documented["additionalProperties"] is decoded["additionalProperties"] is False
    assert set(documented["required"]) == set(decoded["required"])
    for field, schema in decoded["properties"].items():
        assert allowed(documented["properties"][field], {}) == allowed(schema, components), field
    assert documented["properties"].keys() == decoded["properties"].keys()


BOUNDS = ("minLength", "maxLength", "minItems", "maxItems", "pattern", "default")


def allowed(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema allows, in whichever way it says so."""
    given = schema
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = components[name] if name in components else CONTRACT.schema(name)
    schema = schema | given
    parts = schema.get("anyOf", [schema])
    found: dict[str, Any] = {"types": set()}
    for part in parts:
        types = part.get("type", "string" if "enum" in part else "object")
        found["types"] |= {types} if isinstance(types, str) else set(types)
        found |= {bound: part[bound] for bound in BOUNDS if bound in part}
        if "enum" in part:
            found["enum"] = set(part["enum"])
    if "default" in schema:
        found["default"] = schema["default"]
    return found


def test_every_code_is_listed_and_explained() -> None:
    raised = {error.code for error in FAILURES} | OTHER_CODES

    listed = CONTRACT.schema("Problem")["properties"]["code"]["enum"]

    assert listed == sorted(raised)
    assert [code for code in listed if f"| `{code}` |" not in DESCRIPTION] == []


def test_failures_of_a_gap_are_those_that_problems_have() -> None:
    error = CONTRACT.schema("Failure")["properties"]["error"]

    # A stream is told of its end as a failure of its gap.
    assert set(error["properties"]["code"]["enum"]) == {
        *(failure.code for failure in FAILURES),
        "deadline_exceeded",
    }


def test_names_and_bounds_are_those_of_the_code() -> None:
    generated = CONTRACT.schema("Generated")["properties"]
    summary = CONTRACT.schema("Batch")["properties"]["summary"]["properties"]

    assert CONTRACT.schema("Priority")["enum"] == [*Priority]
    assert CONTRACT.schema("Language")["enum"] == [*Language]
    assert generated["served"]["enum"] == [*get_args(Served)]
    assert summary["served"]["required"] == [*get_args(Served)]
    assert CONTRACT.schema("Batch")["properties"]["questions"]["maxItems"] == MAX_GAPS


def test_limits_in_words_are_those_of_the_code() -> None:
    heartbeat = CONTRACT.document["paths"]["/api/adaptive-questions/generate/stream"]["post"]

    assert f"at most {MAX_BODY_BYTES // 2**20} MiB" in DESCRIPTION
    assert f"{MAX_VALUES:,} values" in DESCRIPTION
    assert f"at most {MAX_DEPTH} levels deep" in DESCRIPTION
    assert f"Every {Settings().heartbeat_seconds:g} seconds" in heartbeat["description"]
