"""The flags that OpenFeature's kit for providers asks for, by our own provider and by OpenFeature's over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.projection import project_world
from tests.flags_svc.ofrep_app import Memory, Scene, a_flag, a_world
from windsock.flags.definition import Condition, Rule
from windsock.flags.writing import flag_document
from windsock.integrations.openfeature import WindsockProvider
from windsock.testing import flags
from windsock_kit.testing import serving

SOMEBODY = "5c3d8535-f81a-4478-a6d3-afaa4d51199e"
PICTURES = {"showImages": True, "title": "Check out these pics!", "imagesPerPage": 100}
OF_TYPES: list[tuple[str, dict[str, Any]]] = [
    ("boolean", {"on": True, "off": False}),
    ("string", {"greeting": "hi", "parting": "bye"}),
    ("integer", {"ten": 10, "one": 1}),
    ("float", {"half": 0.5, "tenth": 0.1}),
]


def simple(key: str, kind: str, variants: dict[str, Any], **given: Any) -> ManagedFlag:
    """Return a flag that gives its first variant, and the last one while it is disabled."""
    return a_flag(key, kind, variants, off=[*variants][-1], **given)


FLAGS = [
    *(simple(f"{kind}-flag", kind, variants) for kind, variants in OF_TYPES),
    *(simple(f"disabled-{kind}-flag", kind, variants) for kind, variants in OF_TYPES),
    simple("large-integer-flag", "integer", {"max-int32": 2**31 - 1, "one": 1}),
    simple("huge-integer-flag", "integer", {"max-safe": 2**53 - 1, "one": 1}),
    simple("integral-float-flag", "float", {"ten": 10.0, "tenth": 0.1}),
    simple("boolean-zero-flag", "boolean", {"zero": False, "non-zero": True}),
    simple("integer-zero-flag", "integer", {"zero": 0, "non-zero": 1}),
    simple("string-zero-flag", "string", {"zero": "", "non-zero": "str"}),
    simple("object-flag", "object", {"template": PICTURES, "empty": {}}),
    simple("wrong-flag", "string", {"one": "uno", "two": "dos"}),
    simple(
        "targeting-key-flag",
        "string",
        {"miss": "miss", "hit": "hit"},
        rules=(Rule(Condition("targetingKey", "equals", (SOMEBODY,)), "hit"),),
    ),
    simple("changing-flag", "string", {"foo": "foo", "bar": "bar"}),
]


@dataclass
class Kit:
    """A client with our provider, or with OpenFeature's for the remote protocol."""

    client: OpenFeatureClient
    is_ours: bool

    def ask(
        self, kind: str, key: str, default: Any, user: str | None = None
    ) -> FlagEvaluationDetails[Any]:
        """Return the details of a flag."""
        context = None if user is None else EvaluationContext(user)
        ask: Callable[..., Any] = getattr(self.client, f"get_{kind}_details")
        found: FlagEvaluationDetails[Any] = ask(key, default, context)
        return found


@pytest.fixture(autouse=True)
def _nobody_else() -> Iterator[None]:
    yield
    api.clear_providers()


@pytest_asyncio.fixture(params=["sdk", "ofrep"])
async def kit(request: pytest.FixtureRequest) -> AsyncGenerator[Kit]:
    scene = Scene(Memory(a_world(FLAGS)))
    if request.param == "sdk":
        defined = project_world(scene.configuration.world, "production").flags
        documents = {key: flag_document(each) for key, each in defined.items()}
        for key, document in documents.items():
            if key.startswith("disabled-"):
                document["enabled"] = False
                # Only what is managed must have a variant for this.
                del document["off_variant"]
        with flags(documents) as client:
            api.set_provider_and_wait(WindsockProvider(client))
            yield Kit(api.get_client(), is_ours=True)
        return
    async with serving(scene.app) as base:
        for kind, _ in OF_TYPES:
            await scene.disable(f"disabled-{kind}-flag")
        api.set_provider_and_wait(OFREPProvider(base))
        yield Kit(api.get_client(), is_ours=False)


GIVEN: list[tuple[str, str, Any, Any, str]] = [
    ("boolean", "boolean-flag", False, True, "on"),
    ("string", "string-flag", "bye", "hi", "greeting"),
    ("integer", "integer-flag", 1, 10, "ten"),
    ("float", "float-flag", 0.1, 0.5, "half"),
    ("boolean", "boolean-zero-flag", True, False, "zero"),
    ("integer", "integer-zero-flag", 1, 0, "zero"),
    ("string", "string-zero-flag", "fallback", "", "zero"),
    ("integer", "large-integer-flag", 1, 2147483647, "max-int32"),
    ("integer", "huge-integer-flag", 1, 9007199254740991, "max-safe"),
    ("float", "integral-float-flag", 0.1, 10.0, "ten"),
    ("object", "object-flag", {}, PICTURES, "template"),
    ("string", "changing-flag", "", "foo", "foo"),
]


@pytest.mark.parametrize("user", [None, "somebody"], ids=["nobody", "somebody"])
async def test_values_variants_and_reasons(kit: Kit, user: str | None) -> None:
    for kind, key, default, value, variant in GIVEN:
        found = await asyncio.to_thread(kit.ask, kind, key, default, user)

        assert (found.value, type(found.value)) == (value, type(value)), key
        assert (found.variant, found.reason) == (variant, Reason.STATIC), key
        assert found.error_code is None, key
        assert not found.error_message, key


async def test_a_disabled_flag_says_so(kit: Kit) -> None:
    defaults = {"boolean": True, "string": "mine", "integer": 7, "float": 0.7}
    for kind, variants in OF_TYPES:
        found = await asyncio.to_thread(kit.ask, kind, f"disabled-{kind}-flag", defaults[kind])

        off = [*variants.values()][-1]
        assert found.value == (defaults[kind] if kit.is_ours else off), kind
        assert (found.reason, found.error_code) == (Reason.DISABLED, None), kind


@pytest.mark.parametrize(
    ("user", "value", "reason"),
    [
        (SOMEBODY, "hit", Reason.TARGETING_MATCH),
        ("somebody", "miss", Reason.DEFAULT),
        (None, "miss", Reason.DEFAULT),
    ],
    ids=["hit", "miss", "nobody"],
)
async def test_the_context_arrives(kit: Kit, user: str | None, value: str, reason: Reason) -> None:
    found = await asyncio.to_thread(kit.ask, "string", "targeting-key-flag", "fallback", user)

    if reason == Reason.DEFAULT and not kit.is_ours:
        # The protocol's own reasons have no other for a flag whose rules were asked.
        reason = Reason.TARGETING_MATCH
    assert (found.value, found.reason, found.error_code) == (value, reason, None)


MISMATCHES: list[tuple[str, str, Any]] = [
    ("boolean", "string-flag", False),
    ("integer", "string-flag", 1),
    ("float", "string-flag", 0.1),
    ("boolean", "wrong-flag", False),
    ("string", "boolean-flag", "fallback"),
    ("integer", "boolean-flag", 1),
    ("float", "boolean-flag", 0.1),
    ("boolean", "integer-flag", False),
    ("string", "integer-flag", "fallback"),
    ("boolean", "float-flag", False),
    ("string", "float-flag", "fallback"),
    ("integer", "float-flag", 1),
    ("boolean", "object-flag", False),
    ("string", "object-flag", "fallback"),
    ("integer", "object-flag", 1),
    ("float", "object-flag", 0.1),
]


async def test_a_value_of_another_type_is_none(kit: Kit) -> None:
    for kind, key, default in MISMATCHES:
        found = await asyncio.to_thread(kit.ask, kind, key, default)

        if (kind, key) == ("integer", "boolean-flag") and not kit.is_ours:
            # OpenFeature's provider takes true for a number, as Python does.
            assert found.value is True
            continue
        assert (found.value, found.reason) == (default, Reason.ERROR), (kind, key)
        assert found.error_code == ErrorCode.TYPE_MISMATCH, (kind, key)


async def test_an_unknown_flag_is_the_default(kit: Kit) -> None:
    found = await asyncio.to_thread(kit.ask, "string", "missing-flag", "fallback")

    assert (found.value, found.reason) == ("fallback", Reason.ERROR)
    assert found.error_code == ErrorCode.FLAG_NOT_FOUND
