"""What a user got by shares is told by all that is recorded in the block after it."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagType, Reason
from openfeature.hook import HookContext

import windsock
from windsock.ambient import AMBIENT, SEEN
from windsock.fields import MAX_KEYS
from windsock.flags.client import FeatureFlags
from windsock.integrations.asgi import WindsockMiddleware
from windsock.integrations.openfeature import ExposureHook
from windsock.testing import Captured, capture, flags

SPLIT = {
    "type": "string",
    "variants": {"a": "one", "b": "other"},
    "fallthrough": {"split": {"a": 1, "b": 1}},
}
# Some plan takes a user out of the split.
RULED = {
    **SPLIT,
    "rules": [
        {
            "when": {"attribute": "plan", "operator": "equals", "value": "pro"},
            "serve": {"variant": "a"},
        }
    ],
}
GIVEN: dict[str, object] = {"f": SPLIT, "g": SPLIT, "ruled": RULED, "static": True}
USER, OTHER = "u-1", "u-2"


@pytest.fixture
def client(captured: Captured) -> Iterator[FeatureFlags]:
    with flags(GIVEN) as client:
        yield client
    assert AMBIENT.get() is None


def told(captured: Captured, kind: str = "performance") -> list[dict[str, str] | None]:
    return [event.get("flags") for event in captured.of_type(kind)]


def score(value: float = 7.0, **metadata: object) -> None:
    windsock.get_metrics_collector().record_quality("answer", value, **metadata)  # type: ignore[arg-type]


def test_events_carry_what_the_user_got_from_then_on(
    client: FeatureFlags, captured: Captured
) -> None:
    with windsock.context(user_id=USER):
        score()
        variant = client.variant("f")
        score()
        client.is_enabled("static")
        client.variant("g")
        score()
    score()

    both = {"f": variant, "g": client.variant("g", USER)}
    assert told(captured, "quality") == [None, {"f": variant}, both, None]


@pytest.mark.parametrize("method", ["variant", "value", "details", "explain"])
def test_whatever_evaluates_tells_but_not_what_explains(
    client: FeatureFlags, captured: Captured, method: str
) -> None:
    for _ in range(2):
        with windsock.track_performance("answer"):
            getattr(client, method)("f", USER)

    wanted = None if method == "explain" else {"f": client.variant("f", USER)}
    assert told(captured) == [wanted, wanted]


def _failing(client: FeatureFlags) -> None:
    client.variant("f", USER)
    raise ZeroDivisionError


def test_a_tracked_block_tells_and_ends(client: FeatureFlags, captured: Captured) -> None:
    with windsock.track_performance("first"):
        variant = client.variant("f", USER)
        with windsock.track_performance("inner"):
            client.variant("g", USER)
    with windsock.track_performance("second"):
        pass
    failing = windsock.track_performance("third")(_failing)
    with pytest.raises(ZeroDivisionError):
        failing(client)

    inner = {"f": variant, "g": client.variant("g", USER)}
    assert told(captured) == [inner, {"f": variant}, None, {"f": variant}]


def test_a_node_tells_and_ends(client: FeatureFlags, captured: Captured) -> None:
    @windsock.track_node("node")
    def node(state: dict[str, str]) -> str | None:
        return client.variant("f", state.get("targetingKey"))

    with windsock.context(session_id="s"):
        variant = node({"user_id": USER})
    node({"targetingKey": USER})
    score()

    assert told(captured) == [{"f": variant}, {"f": variant}]
    assert told(captured, "quality") == [None]


async def test_a_request_tells_and_ends(client: FeatureFlags, captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        client.variant("f", USER)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def send(message: Any) -> None:
        del message

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    middleware = WindsockMiddleware(app)
    for headers in ([(b"x-user-id", USER.encode())], [], [(b"x-user-id", OTHER.encode())]):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await middleware(scope, receive, send)

    got = {"f": client.variant("f", USER)}
    assert told(captured) == [got, got, None]


def test_without_a_block_nothing_is_told(client: FeatureFlags, captured: Captured) -> None:
    client.variant("f", USER)
    client.details("f", USER)
    score()

    assert told(captured, "quality") == [None]


def test_only_shares_are_told(client: FeatureFlags, captured: Captured) -> None:
    with windsock.context(user_id=USER):
        client.is_enabled("static")
        client.variant("ruled", context={"plan": "pro"})
        client.variant("gone")
        score()
        client.variant("ruled")
        score()
        client.variant("ruled", context={"plan": "pro"})
        score()

    variant = client.variant("ruled", USER)
    assert told(captured, "quality") == [None, {"ruled": variant}, None]


def test_what_the_application_says_wins(client: FeatureFlags, captured: Captured) -> None:
    with windsock.context(user_id=USER, flags={"f": "mine"}):
        client.variant("f")
        variant = client.variant("g")
        score()
        score(flags={"g": "other"})
        with windsock.context(flags={"g": "inner"}):
            client.variant("g")
            score()

    given = {"f": "mine"}
    assert told(captured, "quality") == [
        {**given, "g": variant},
        {**given, "g": "other"},
        {**given, "g": "inner"},
    ]


def test_what_one_user_got_is_not_told_of_another(client: FeatureFlags, captured: Captured) -> None:
    with windsock.context(user_id=USER, session_id="s"):
        client.variant("f", OTHER)
        score()
        by_session = client.variant("f", "s")
        score()
        score(user_id=OTHER, session_id="t")
        variant = client.variant("g")
        score()
        with windsock.context(user_id=OTHER):
            score()
        score()

    got = {"g": variant}
    assert told(captured, "quality") == [None, {"f": by_session}, None, got, None, got]


def test_in_a_block_of_nobody_the_last_user_counts(
    client: FeatureFlags, captured: Captured
) -> None:
    with windsock.context(gap_priority="HIGH"):
        client.variant("f", USER)
        client.variant("g", OTHER)
        score()
        client.variant("ruled", USER, {"plan": "pro"})
        score()

    assert told(captured, "quality") == [{"g": client.variant("g", OTHER)}, None]


async def test_tasks_tell_what_was_known_when_they_began_and_their_own(
    client: FeatureFlags, captured: Captured
) -> None:
    async def work(user: str) -> None:
        client.variant("f", user)
        await asyncio.sleep(0)
        score(metadata={"who": user})

    with windsock.track_performance("both"):
        await asyncio.gather(work(USER), work(OTHER))

    by_user = {e["attributes"]["who"]: e["flags"] for e in captured.of_type("quality")}
    assert by_user == {user: {"f": client.variant("f", user)} for user in (USER, OTHER)}
    assert told(captured) == [None]


def test_threads_start_without(client: FeatureFlags, captured: Captured) -> None:
    with windsock.context(user_id=USER):
        variant = client.variant("f")
        run = contextvars.copy_context().run
        for target, args in ((score, ()), (run, (score,))):
            thread = threading.Thread(target=target, args=args)
            thread.start()
            thread.join()

    assert told(captured, "quality") == [None, {"f": variant}]


def test_a_generator_keeps_its_own_between_the_steps(
    client: FeatureFlags, captured: Captured
) -> None:
    @windsock.track_performance("steps")
    def steps() -> Generator[int]:
        client.variant("f", USER)
        yield 1
        score()
        yield 2

    numbers = steps()
    assert next(numbers) == 1
    assert AMBIENT.get() is None
    with windsock.context(user_id=OTHER):
        around = AMBIENT.get()
        assert list(numbers) == [2]
        assert AMBIENT.get() is around

    variant = client.variant("f", USER)
    assert told(captured) == [{"f": variant}]
    assert told(captured, "quality") == [{"f": variant}]


async def test_an_asynchronous_generator_may_be_closed_elsewhere(
    client: FeatureFlags, captured: Captured
) -> None:
    @windsock.track_performance("steps")
    async def steps() -> AsyncGenerator[int]:
        client.variant("f", USER)
        yield 1

    numbers = steps()
    assert await anext(numbers) == 1
    await asyncio.create_task(numbers.aclose())

    assert AMBIENT.get() is None
    assert told(captured) == [{"f": client.variant("f", USER)}]


def test_a_block_left_open_in_a_generator_takes_nothing_from_another(
    client: FeatureFlags, captured: Captured
) -> None:
    def steps() -> Generator[int]:
        with windsock.track_performance("steps"):
            yield 1

    numbers = steps()
    next(numbers)
    with windsock.context(user_id=USER):
        numbers.close()
        score()
    AMBIENT.set(None)

    assert [event.get("user_id") for event in captured.of_type("quality")] == [USER]


def test_it_is_bounded(captured: Captured) -> None:
    many = {f"f{number}": SPLIT for number in range(MAX_KEYS + 3)}
    mine = {"mine": "1", "f0": "2"}
    with flags(many) as client:
        for user in range(50):
            with windsock.context(user_id=f"u-{user}"):
                for key in many:
                    client.variant(key)
                score()
        with windsock.context(user_id=USER):
            for key in many:
                client.variant(key)
            score(flags=mine)

    counts = [len(event["flags"]) for event in captured.of_type("quality")]
    assert counts == [MAX_KEYS] * 51
    assert captured.of_type("quality")[-1]["flags"].items() >= mine.items()
    assert len(SEEN) <= 1_024


def test_it_can_be_turned_off(captured: Captured) -> None:
    with flags(GIVEN):
        client = FeatureFlags(windsock.get_metrics_collector())
        settings = windsock.Settings().changed({"record_flags": False, "flags_source": "off"})
        client.configure(settings)
        installed = windsock.get_feature_flags().install(None)
        assert installed is not None
        client.install(installed)
        with windsock.context(user_id=USER):
            client.variant("f")
            client.variant("f")
            score()
        windsock.get_feature_flags().install(installed)

    assert told(captured, "quality") == [None]
    assert captured.of_type("exposure")


def test_the_hook_for_other_providers_tells_too() -> None:
    context = HookContext("f", FlagType.STRING, "", EvaluationContext(USER))
    details: FlagEvaluationDetails[Any] = FlagEvaluationDetails(
        "f", "one", "a", reason=Reason.SPLIT
    )
    with capture() as captured, windsock.context(user_id=USER):
        ExposureHook().after(context, details, {})
        score()
    with capture(record_flags=False) as silent, windsock.context(user_id=USER):
        ExposureHook().after(context, details, {})
        score()

    assert told(captured, "quality") == [{"f": "a"}]
    assert told(silent, "quality") == [None]


def test_a_user_with_a_long_name_is_the_same_one(client: FeatureFlags, captured: Captured) -> None:
    long = "ü" * 300
    with windsock.context(user_id=long):
        variant = client.variant("f", long)
        score()

    assert told(captured, "quality") == [{"f": variant}]
