"""OpenFeature's own client in Python against us, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest
import pytest_asyncio
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    GeneralError,
    InvalidContextError,
    OpenFeatureError,
    ParseError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason

from tests.flags_svc.ofrep_app import MAX_BODY, Scene, a_flag, a_scene
from windsock.flags.definition import Condition, Rule
from windsock_kit.testing import serving

T = TypeVar("T")
Object: TypeAlias = Sequence[FlagValueType] | Mapping[str, FlagValueType]
ANN = EvaluationContext("ann", {"country": "DE"})


@pytest.fixture
def scene() -> Scene:
    return a_scene()


@pytest_asyncio.fixture
async def base(scene: Scene) -> AsyncGenerator[str]:
    async with serving(scene.app) as base:
        yield base


@pytest.fixture
def provider(base: str) -> OFREPProvider:
    return OFREPProvider(base)


async def ask(
    resolve: Callable[[str, T, EvaluationContext | None], FlagResolutionDetails[T]],
    key: str,
    default: T,
    context: EvaluationContext | None = ANN,
) -> FlagResolutionDetails[T]:
    """Ask as the provider does: waiting."""
    return await asyncio.to_thread(resolve, key, default, context)


async def test_all_types_come_as_they_are(provider: OFREPProvider) -> None:
    assert (await ask(provider.resolve_boolean_details, "static", False)).value is True
    assert (await ask(provider.resolve_string_details, "text", "")).value == "Grüße, 世界"
    assert (await ask(provider.resolve_integer_details, "whole", 0)).value == 2**53 - 1
    fraction = await ask(provider.resolve_float_details, "fraction", 0.0)
    assert (fraction.value, type(fraction.value)) == (1.0, float)
    nothing: Object = {}
    found = await ask(provider.resolve_object_details, "object", nothing)
    assert found.value == {"a": [1, 2.5, None], "b": {"c": "d"}}


async def test_zero_is_a_value(provider: OFREPProvider) -> None:
    full: Object = {"b": 2}
    assert (await ask(provider.resolve_boolean_details, "false", True)).value is False
    assert (await ask(provider.resolve_string_details, "empty", "y")).value == ""
    assert (await ask(provider.resolve_integer_details, "zero", 2)).value == 0
    assert (await ask(provider.resolve_float_details, "zero-fraction", 2.5)).value == 0.0
    assert (await ask(provider.resolve_object_details, "empty-object", full)).value == {}


async def test_reasons_and_variants_come_along(provider: OFREPProvider, scene: Scene) -> None:
    split = await ask(provider.resolve_boolean_details, "half", False)
    assert split.reason == Reason.SPLIT
    assert split.variant in {"on", "off"}
    found = await ask(provider.resolve_boolean_details, "targeted", True)
    assert (found.value, found.variant, found.reason) == (False, "off", Reason.TARGETING_MATCH)
    otherwise = await ask(provider.resolve_boolean_details, "targeted", False, None)
    assert (otherwise.value, otherwise.reason) == (True, Reason.TARGETING_MATCH)
    await scene.disable("disabled")
    off = await ask(provider.resolve_string_details, "disabled", "")
    assert (off.value, off.variant, off.reason) == ("B", "b", Reason.DISABLED)


async def test_no_context_is_a_context(provider: OFREPProvider) -> None:
    assert (await ask(provider.resolve_boolean_details, "static", False, None)).value is True
    with pytest.raises(TargetingKeyMissingError):
        await ask(provider.resolve_boolean_details, "half", False, None)


async def test_failures_are_what_they_are(provider: OFREPProvider, scene: Scene) -> None:
    await scene.put(a_flag("broken", rules=(Rule(Condition("x", "matches", ("(",)), "off"),)))
    failures: list[tuple[str, EvaluationContext, type[OpenFeatureError]]] = [
        ("missing", ANN, FlagNotFoundError),
        ("a/b", ANN, FlagNotFoundError),
        ("by-company", ANN, InvalidContextError),
        ("half", EvaluationContext(attributes={"targetingKey": 5}), InvalidContextError),
        ("broken", ANN, ParseError),
        ("static", EvaluationContext("ann", {"x": "y" * MAX_BODY}), OpenFeatureError),
    ]
    for key, context, error in failures:
        with pytest.raises(error) as raised:
            await ask(provider.resolve_boolean_details, key, False, context)
        assert raised.value.error_message


async def test_the_client_checks_types(provider: OFREPProvider) -> None:
    with pytest.raises(TypeMismatchError):
        await ask(provider.resolve_string_details, "static", "")
    with pytest.raises(TypeMismatchError):
        await ask(provider.resolve_integer_details, "fraction", 0)


async def test_the_environment_is_a_header(base: str) -> None:
    staging: dict[str, Any] = {"headers_factory": lambda: {"X-Windsock-Environment": "staging"}}
    provider = OFREPProvider(base, **staging)
    assert (await ask(provider.resolve_boolean_details, "static", True)).reason == Reason.DISABLED
    nowhere = OFREPProvider(base, headers_factory=lambda: {"X-Windsock-Environment": "nowhere"})
    with pytest.raises(GeneralError, match="production, staging"):
        await ask(nowhere.resolve_boolean_details, "static", True)


async def test_a_change_is_in_the_next_answer(provider: OFREPProvider, scene: Scene) -> None:
    assert (await ask(provider.resolve_boolean_details, "static", False)).value is True
    await scene.disable("static")
    assert (await ask(provider.resolve_boolean_details, "static", True)).value is False
