"""OpenFeature's SDK with our provider and hook."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

import windsock
from tests.sdk.flag_service import PATIENCE_SECONDS, FlagService, flag_service, switch
from windsock.endpoint import Endpoint
from windsock.flags.client import FeatureFlags
from windsock.flags.stream import StreamFeed
from windsock.flags.watching import Pace, WatchedSource
from windsock.integrations.openfeature import ExposureHook, WindsockProvider
from windsock.testing import Captured, flags

ANN = EvaluationContext("ann")
SPLIT = {
    "type": "string",
    "variants": {"a": "A", "b": "B"},
    "fallthrough": {"split": {"a": 1, "b": 1}},
}
SINCE = {
    "type": "boolean",
    "variants": {"on": True, "off": False},
    "fallthrough": {"variant": "off"},
    "rules": [
        {
            "when": {"attribute": "joined", "operator": "after", "value": "2026-01-01T00:00:00Z"},
            "serve": {"variant": "on"},
        }
    ],
}
GIVEN: dict[str, object] = {
    "bool": True,
    "text": "flash",
    "whole": 3,
    "real": 0.5,
    "object": {"k": [1]},
    "split": SPLIT,
    "since": SINCE,
}
Served = Callable[[FeatureFlags], OpenFeatureClient]


@pytest.fixture
def served(captured: Captured) -> Iterator[Served]:
    def serve(client: FeatureFlags) -> OpenFeatureClient:
        provider = WindsockProvider(client, ready_timeout_seconds=PATIENCE_SECONDS)
        api.set_provider_and_wait(provider)
        return api.get_client()

    yield serve
    api.clear_providers()
    api.clear_hooks()


@pytest.fixture
def asked(served: Served) -> Iterator[OpenFeatureClient]:
    with flags(GIVEN) as client:
        api.set_provider_and_wait(WindsockProvider(client))
        yield api.get_client()


def test_values_of_every_type(asked: OpenFeatureClient) -> None:
    assert asked.get_boolean_value("bool", False) is True
    assert asked.get_string_value("text", "") == "flash"
    assert asked.get_integer_value("whole", 0) == 3
    assert asked.get_float_value("real", 0.0) == 0.5
    assert asked.get_object_value("object", {}) == {"k": [1]}
    whole = asked.get_float_details("whole", 0.0)
    assert (whole.value, type(whole.value), whole.error_code) == (3.0, float, None)


async def test_values_can_be_awaited(asked: OpenFeatureClient) -> None:
    assert await asked.get_boolean_value_async("bool", False) is True
    assert await asked.get_string_value_async("split", "", ANN) in {"A", "B"}


def test_details_tell_variant_and_reason(asked: OpenFeatureClient) -> None:
    static = asked.get_boolean_details("bool", False)
    split = asked.get_string_details("split", "", ANN)
    joined = EvaluationContext("ann", {"joined": datetime(2026, 5, 1, tzinfo=UTC)})
    targeted = asked.get_boolean_details("since", False, joined)

    assert (static.variant, static.reason) == ("on", Reason.STATIC)
    assert (split.variant, split.reason) in {("a", Reason.SPLIT), ("b", Reason.SPLIT)}
    assert (targeted.value, targeted.reason) == (True, Reason.TARGETING_MATCH)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda c: c.get_boolean_details("gone", True), ErrorCode.FLAG_NOT_FOUND),
        (lambda c: c.get_boolean_details("text", True), ErrorCode.TYPE_MISMATCH),
        (lambda c: c.get_integer_details("real", 7), ErrorCode.TYPE_MISMATCH),
        (lambda c: c.get_float_details("text", 7.0), ErrorCode.TYPE_MISMATCH),
        (lambda c: c.get_string_details("split", "d"), ErrorCode.TARGETING_KEY_MISSING),
    ],
    ids=["unknown", "other type", "float for an integer", "text for a float", "nobody"],
)
def test_errors_give_the_default(
    asked: OpenFeatureClient, ask: Callable[[OpenFeatureClient], Any], code: ErrorCode
) -> None:
    details = ask(asked)

    assert (details.reason, details.error_code) == (Reason.ERROR, code)
    assert details.value in {True, 7, "d"}
    assert details.error_message


def test_the_hook_of_the_provider_records_exposures_once(
    asked: OpenFeatureClient, captured: Captured
) -> None:
    for _ in range(3):
        asked.get_string_value("split", "", ANN)
        asked.get_boolean_value("bool", False, ANN)
    asked.get_string_value("split", "", EvaluationContext(attributes={"targetingKey": "bob"}))

    exposures = [(event["flag_key"], event["targeting_key"]) for event in captured.events]
    assert exposures == [("split", "ann"), ("split", "bob")]


def test_the_ambient_user_is_recorded_and_told(
    asked: OpenFeatureClient, captured: Captured
) -> None:
    with windsock.context(user_id="ann"), windsock.track_performance("answer"):
        variant = asked.get_string_details("split", "").variant

    [exposure, answer] = captured.events
    assert (exposure["targeting_key"], exposure["variant"]) == ("ann", variant)
    assert answer["flags"] == {"split": variant}


def test_the_hook_for_others_records_their_exposures(served: Served, captured: Captured) -> None:
    def by_share(flag: InMemoryFlag[str], _: EvaluationContext) -> Any:
        found = InMemoryFlag("a", flag.variants).resolve(None)
        found.reason = Reason.SPLIT
        return found

    api.set_provider_and_wait(
        InMemoryProvider(
            {
                "split": InMemoryFlag("a", {"a": "A"}, context_evaluator=by_share),
                "static": InMemoryFlag("a", {"a": "A"}),
            }
        )
    )
    client = api.get_client()
    client.add_hooks([ExposureHook()])
    for _ in range(2):
        client.get_string_value("split", "", ANN)
        client.get_string_value("static", "", ANN)
        client.get_string_value("split", "")

    [event] = captured.events
    assert (event["flag_key"], event["variant"], event["targeting_key"]) == ("split", "a", "ann")


class Events:
    """Collects the provider's events of one kind."""

    def __init__(self, kind: ProviderEvent) -> None:
        self.details: list[EventDetails] = []
        self._happened = threading.Condition()
        api.add_handler(kind, self._take)
        self._kind = kind

    def _take(self, details: EventDetails) -> None:
        with self._happened:
            self.details.append(details)
            self._happened.notify_all()

    def wait(self, count: int = 1) -> None:
        with self._happened:
            assert self._happened.wait_for(lambda: len(self.details) >= count, PATIENCE_SECONDS)

    def forget(self) -> None:
        api.remove_handler(self._kind, self._take)


@pytest.fixture
def events() -> Iterator[Callable[[ProviderEvent], Events]]:
    made: list[Events] = []

    def make(kind: ProviderEvent) -> Events:
        made.append(Events(kind))
        return made[-1]

    yield make
    for each in made:
        each.forget()


def following(service: FlagService) -> FeatureFlags:
    client = FeatureFlags(windsock.get_metrics_collector())
    pace = Pace(silence=0.3, steady=60.0, longest_wait=0.02)
    feed = StreamFeed(Endpoint(service.url), "production", timeout_seconds=5)
    client.install(WatchedSource(feed, pace=pace))
    return client


def test_the_life_of_the_flags_becomes_events(
    served: Served, events: Callable[[ProviderEvent], Events]
) -> None:
    with flag_service(switch("f"), switch("other")) as service:
        flags = following(service)
        client = served(flags)
        # The first comes at once, as the provider is ready.
        ready = events(ProviderEvent.PROVIDER_READY)
        changed = events(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
        stale = events(ProviderEvent.PROVIDER_STALE)
        ready.wait()
        service.change(switch("f", on=False))
        changed.wait()
        details = client.get_boolean_details("f", True)
        service.stop()
        stale.wait()

    assert changed.details[0].flags_changed == ["f"]
    assert (details.value, details.flag_metadata) == (False, {"epoch": "e1", "revision": 2})
    assert client.get_boolean_value("f", True) is False
    with flag_service(switch("f"), port=service.port):
        ready.wait(2)
        assert flags.close(PATIENCE_SECONDS)


def test_a_service_that_comes_late_makes_the_provider_ready(
    served: Served, events: Callable[[ProviderEvent], Events]
) -> None:
    with flag_service() as gone:
        flags, port = following(gone), gone.port
    with pytest.raises(ProviderNotReadyError, match="ConnectionRefusedError"):
        api.set_provider_and_wait(WindsockProvider(flags, ready_timeout_seconds=0.05))
    ready = events(ProviderEvent.PROVIDER_READY)
    client = api.get_client()

    assert client.get_boolean_details("f", False).error_code == ErrorCode.PROVIDER_NOT_READY
    with flag_service(switch("f"), port=port):
        ready.wait()
        assert client.get_boolean_value("f", False) is True
        assert flags.close(PATIENCE_SECONDS)
