"""openapi.yaml beside the bodies that are decoded, the errors and the words of the code, both ways."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from alerts_svc.app import create_app
from alerts_svc.domain.alert import State
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.rule import Comparison
from alerts_svc.domain.severity import Severity
from alerts_svc.settings import Settings
from alerts_svc.version import VERSION
from alerts_svc.wire.alerts import AcknowledgeBody, ByBody
from alerts_svc.wire.changes import ChangeBody, ChangeKind
from alerts_svc.wire.channels import ChannelBody
from alerts_svc.wire.configuration import (
    ConfigurationBody,
    InhibitionBody,
    MuteWindowBody,
    RouteBody,
    Weekday,
)
from alerts_svc.wire.deliveries import DeliveryStatus, ReplayBody
from alerts_svc.wire.matchers import MatcherBody
from alerts_svc.wire.rules import (
    UNITS,
    BurnRateBody,
    BurnWindowBody,
    NoDataBody,
    Origin,
    RuleBody,
    ThresholdBody,
)
from alerts_svc.wire.silences import SilenceBody
from alerts_svc.wire.trials import BacktestBody, TrialBody
from tests.fixtures.contract import Contract, codes_of

CONTRACT = Contract(files("alerts_svc").joinpath("openapi.yaml").read_bytes())
SETTINGS = Settings("postgresql://127.0.0.1/none")


def test_document_and_service_have_the_same_version() -> None:
    assert CONTRACT.document["info"]["version"] == VERSION


def test_every_example_is_valid() -> None:
    found = [
        (pointer, value, CONTRACT.errors(pointer, value)) for pointer, value in CONTRACT.examples()
    ]

    assert len(found) > 50
    assert [(pointer, errors) for pointer, _, errors in found if errors] == []


BODIES: dict[str, type[msgspec.Struct]] = {
    "Rule": RuleBody,
    "ThresholdCondition": ThresholdBody,
    "BurnRateCondition": BurnRateBody,
    "BurnWindow": BurnWindowBody,
    "NoData": NoDataBody,
    "RuleTest": TrialBody,
    "Backtest": BacktestBody,
    "SilenceBody": SilenceBody,
    "MatcherObject": MatcherBody,
    "ChannelBody": ChannelBody,
    "ConfigurationBody": ConfigurationBody,
    "RouteBody": RouteBody,
    "InhibitionBody": InhibitionBody,
    "MuteWindowBody": MuteWindowBody,
    "ReplayBody": ReplayBody,
    "ChangeBody": ChangeBody,
    "AcknowledgeBody": AcknowledgeBody,
    "CloseBody": ByBody,
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_documented_as_it_is_decoded(name: str) -> None:
    _, components = msgspec.json.schema_components([BODIES[name]])
    decoded = components[BODIES[name].__name__]

    documented = CONTRACT.schema(name)

    assert documented["additionalProperties"] is decoded["additionalProperties"] is False
    assert set(documented.get("required", [])) == set(decoded["required"])
    assert set(documented["properties"]) == set(decoded["properties"])
    for field, schema in decoded["properties"].items():
        shown = bounds(documented["properties"][field])
        assert {**shown, **bounds(schema)} == shown, field


BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
    "maxProperties", "multipleOf",
}  # fmt: skip


def bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema bounds, and its default."""
    schema = CONTRACT.resolve(schema) if schema.get("$ref", "").startswith("#/comp") else schema
    whole = {key: value for key, value in schema.items() if key in BOUNDS}
    for part in schema.get("anyOf", []):
        if "$ref" not in part:
            whole |= bounds(part)
    # A name's pattern bounds its length too.
    if "pattern" in schema:
        whole.pop("maxLength", None)
    default = schema.get("default")
    if default is not None and default not in ([], {}):
        whole["default"] = default
    return whole


WORDS: dict[str, type[StrEnum]] = {
    "Severity": Severity,
    "AlertState": State,
    "Comparison": Comparison,
    "Origin": Origin,
    "ChannelKind": Kind,
    "DeliveryStatus": DeliveryStatus,
    "Weekday": Weekday,
}


@pytest.mark.parametrize("name", WORDS)
def test_every_word_is_listed(name: str) -> None:
    assert CONTRACT.schema(name)["enum"] == [word.value for word in WORDS[name]]


def test_every_unit_and_kind_of_change_is_listed() -> None:
    assert CONTRACT.schema("Rule")["properties"]["unit"]["enum"] == list(UNITS)
    assert CONTRACT.schema("ChangeBody")["properties"]["kind"]["enum"] == list(ChangeKind)


def test_every_code_is_listed_and_explained() -> None:
    # The application imports every module that has an error of its own.
    create_app(SETTINGS)
    raised = codes_of("alerts_svc")

    listed = CONTRACT.schema("Problem")["properties"]["code"]["enum"]

    assert set(listed) == raised
    assert [
        code for code in listed if f"`{code}`" not in CONTRACT.document["info"]["description"]
    ] == []


def test_the_bound_of_bodies_is_that_of_the_settings() -> None:
    text = f"at most {SETTINGS.max_body_bytes / 2**20:g} MiB"

    assert text in " ".join(CONTRACT.document["info"]["description"].split())
