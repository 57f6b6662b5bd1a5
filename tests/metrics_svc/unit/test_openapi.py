"""openapi.yaml beside the routes, the event types, the errors and the measures, both ways."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec
import pytest

from metrics_svc.app import create_app
from metrics_svc.domain.event import (
    MAX_USD,
    Cache,
    Event,
    Exposure,
    LlmCall,
    Performance,
    Probe,
    Quality,
)
from metrics_svc.domain.kind import KINDS
from metrics_svc.domain.measure import COUNTER_AGGREGATIONS, MEASURES, VALUE_AGGREGATIONS
from metrics_svc.settings import Settings
from metrics_svc.version import VERSION
from metrics_svc.wire.batch import TYPES
from metrics_svc.wire.parameters import DEFAULT_MINUTES, FILTERS, MAX_MINUTES
from metrics_svc.wire.query import MAX_QUERIES, MAX_VALUES, RATIO
from tests.fixtures.contract import Contract, codes_of, escape

CONTRACT = Contract(files("metrics_svc").joinpath("openapi.yaml").read_bytes())
SETTINGS = Settings("postgresql://127.0.0.1/none")
# The kit answers these without an exception of ours: Starlette's own, and a bug's.


def test_document_and_service_have_the_same_version() -> None:
    assert CONTRACT.document["info"]["version"] == VERSION


def test_every_example_is_valid() -> None:
    found = [
        (pointer, value, CONTRACT.errors(pointer, value)) for pointer, value in CONTRACT.examples()
    ]

    assert len(found) > 30
    assert [(pointer, errors) for pointer, _, errors in found if errors] == []


EVENTS: list[type[Event]] = [Performance, LlmCall, Quality, Cache, Exposure, Probe]


@pytest.mark.parametrize("event", EVENTS, ids=[event.__name__ for event in EVENTS])
def test_event_is_documented_as_it_is_decoded(event: type[Event]) -> None:
    _, components = msgspec.json.schema_components([event])
    decoded = components[event.__name__]

    documented = CONTRACT.schema(event.__name__)

    assert documented["additionalProperties"] is decoded["additionalProperties"] is False
    assert set(documented["required"]) == set(decoded["required"])
    assert normal(documented["properties"]) == normal(decoded["properties"])


def normal(properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each property allows, in whichever way its schema says so."""
    return {name: allowed(schema) for name, schema in properties.items()}


def allowed(schema: Any) -> dict[str, Any]:
    schema = CONTRACT.resolve(schema)
    if schema.get("format") == "decimal":
        # msgspec takes numbers too; the bounds are checked behind it. The document describes both.
        money = CONTRACT.schema("OptionalUsd")
        assert (money["minimum"], money["maximum"]) == (0, MAX_USD)
        return allowed({key: value for key, value in money.items() if key != "type"}) | {
            "types": {"number", "string"}
        }
    if "anyOf" in schema:
        parts = [allowed(part) for part in schema["anyOf"]]
        whole = {key: value for part in parts for key, value in part.items()}
        whole["types"] = set().union(*(part["types"] for part in parts))
    else:
        given = schema.get("type", [])
        whole = {"types": {given} if isinstance(given, str) else set(given)}
    if "number" in whole["types"]:
        whole["types"] -= {"integer"}
    for key in ("enum", "const"):
        if key in schema:
            values = schema[key] if key == "enum" else [schema[key]]
            whole["types"] = {type_of(value) for value in values}
            whole["enum"] = {value for value in values if value is not None}
    for key in BOUNDS & schema.keys():
        whole[key] = schema[key]
    for key in ("propertyNames", "additionalProperties"):
        if key in schema:
            whole[key] = allowed(schema[key])
    if schema.get("default") is not None:
        whole["default"] = schema["default"]
    return whole


BOUNDS = {
    "minimum", "maximum", "minLength", "maxLength", "maxItems", "maxProperties", "pattern",
}  # fmt: skip


def type_of(value: object) -> str:
    return "null" if value is None else "string"


def test_batch_takes_every_type_of_event() -> None:
    event = CONTRACT.schema("Event")

    mapping = event["discriminator"]["mapping"]

    assert set(mapping) == set(TYPES)
    assert {choice["$ref"] for choice in event["oneOf"]} == set(mapping.values())
    assert CONTRACT.schema("Batch")["properties"]["events"]["maxItems"] == (
        SETTINGS.max_events_per_batch
    )


def test_limits_in_words_are_those_of_the_settings() -> None:
    text = CONTRACT.document["paths"]["/api/metrics/events"]["post"]["description"]

    for limit, value in (
        ("body as sent", f"{SETTINGS.max_body_bytes / 2**20:g} MiB"),
        ("body after decompression", f"{SETTINGS.max_decompressed_bytes / 2**20:g} MiB"),
        ("events in a batch", f"{SETTINGS.max_events_per_batch:,}"),
        ("age of an event", f"{SETTINGS.max_event_age_seconds / 86_400:g} days"),
        (
            "timestamp ahead of the service's clock",
            f"{SETTINGS.max_event_ahead_seconds / 60:g} min",
        ),
    ):
        assert f"| {limit} | {value}" in text


def test_every_code_is_listed_and_explained() -> None:
    # The application imports every module that has an error of its own.
    create_app(SETTINGS)
    # Other services' errors may be here too, where their tests ran in this process.
    raised = codes_of("metrics_svc")

    listed = CONTRACT.schema("Problem")["properties"]["code"]["enum"]

    assert set(listed) == raised
    assert [
        code for code in listed if f"`{code}`" not in CONTRACT.document["info"]["description"]
    ] == []


def test_every_measure_is_listed_and_explained() -> None:
    measure = CONTRACT.schema("MeasureName")

    assert measure["enum"] == list(MEASURES)
    assert [name for name in MEASURES if f"| `{name}` |" not in measure["description"]] == []


def test_every_dimension_is_listed() -> None:
    dimensions = {name for kind in KINDS.values() for name in kind.dimensions}

    assert set(CONTRACT.schema("DimensionName")["enum"]) == dimensions


@pytest.mark.parametrize(
    "aggregation",
    sorted({*COUNTER_AGGREGATIONS, *VALUE_AGGREGATIONS[:-1], RATIO, "p0", "p50", "p99.9", "p100"}),
)
def test_every_aggregation_is_documented(aggregation: str) -> None:
    pointer = f"#/components/schemas/Question/properties/{escape('aggregation')}"

    assert CONTRACT.errors(pointer, aggregation) == []


def test_bounds_of_queries_and_windows_are_those_of_the_code() -> None:
    query, question = (
        CONTRACT.schema("Query")["properties"],
        CONTRACT.schema("Question")["properties"],
    )
    filters = question["filters"]["additionalProperties"]["anyOf"][1]
    minutes = CONTRACT.document["components"]["parameters"]["TimeWindowMinutes"]["schema"]

    assert query["queries"]["maxItems"] == MAX_QUERIES
    assert query["time_window_minutes"]["maximum"] == MAX_MINUTES
    assert filters["maxItems"] == MAX_VALUES
    assert (minutes["minimum"], minutes["maximum"], minutes["default"]) == (
        1, MAX_MINUTES, DEFAULT_MINUTES,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["dashboard", "performance", "costs", "quality", "cache", "health"]
)
def test_reads_take_the_window_and_the_filters(name: str) -> None:
    operation = CONTRACT.document["paths"][f"/api/metrics/{name}"]["get"]

    taken = [CONTRACT.resolve(parameter)["name"] for parameter in operation["parameters"]]

    assert taken == ["time_window_minutes", *FILTERS]
