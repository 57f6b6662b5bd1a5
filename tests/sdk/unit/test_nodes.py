import asyncio
import contextvars
import dataclasses
import enum
import types
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from typing import Any, NoReturn

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import windsock
from windsock.ambient import OPERATION
from windsock.testing import Captured, capture

UNIT = {"user_id": "u-1", "session_id": "s-1", "gap_priority": "HIGH"}


def unit_of(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in UNIT if name in event}


@dataclasses.dataclass
class StateOfDataclass:
    user_id: str = "u-1"
    session_id: str = "s-1"
    gap_priority: str = "HIGH"


class StateOfPydantic(pydantic.BaseModel):
    user_id: str = "u-1"
    session_id: str = "s-1"
    gap_priority: str = "HIGH"


class StateOfMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        return UNIT[key]

    def __iter__(self) -> Iterator[str]:
        return iter(UNIT)

    def __len__(self) -> int:
        return len(UNIT)


class Priority(enum.Enum):
    HIGH = "HIGH"


@pytest.mark.parametrize(
    "state",
    [
        UNIT,
        StateOfMapping(),
        StateOfDataclass(),
        StateOfPydantic(),
        {**UNIT, "gap_priority": Priority.HIGH},
    ],
    ids=["dict", "mapping", "dataclass", "pydantic", "enum"],
)
def test_all_that_a_node_records_carries_its_state(captured: Captured, state: object) -> None:
    collector = windsock.get_metrics_collector()

    @windsock.track_node
    def generate_question(state: object) -> str:
        collector.record_llm_cost("generate_question", 1200, 300)
        collector.record_quality("generate_question", 7.5)
        collector.record_cache_event("generate_question", "l2", hit=False)
        return "done"

    assert generate_question(state) == "done"

    assert [event["type"] for event in captured.events] == [
        "llm_call",
        "quality",
        "cache",
        "performance",
    ]
    assert [unit_of(event) for event in captured.events] == [UNIT] * 4
    assert {event["operation"] for event in captured.events} == {"generate_question"}


def test_a_node_is_named_with_and_without_brackets(captured: Captured) -> None:
    @windsock.track_node
    def bare(state: object) -> None: ...

    @windsock.track_node()
    def called(state: object) -> None: ...

    @windsock.track_node("given")
    def named(state: object) -> None: ...

    for node in (bare, called, named):
        node({})

    assert [event["operation"] for event in captured.events] == ["bare", "called", "given"]
    assert [node.__windsock_operation__ for node in (bare, called, named)] == [  # type: ignore[attr-defined]  # Set by us.
        "bare",
        "called",
        "given",
    ]
    assert named.__name__ == "named"


def test_what_a_state_lacks_stays_as_it_is_around_the_node(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object) -> None: ...

    with windsock.context(user_id="ambient", gap_priority="LOW", region="eu"):
        node({"gap_priority": "HIGH", "user_id": None, "session_id": ""})
        node(None)
        node(object())

    first, *others = captured.events
    assert unit_of(first) == {"user_id": "ambient", "gap_priority": "HIGH"}
    assert first["attributes"] == {"region": "eu"}
    assert [unit_of(event) for event in others] == [
        {"user_id": "ambient", "gap_priority": "LOW"}
    ] * 2


def test_the_state_may_be_given_by_keyword(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object, *, runtime: object = None) -> None: ...

    node(runtime=1, state=UNIT)

    assert unit_of(captured.events[0]) == UNIT


def test_methods_read_the_state_after_self(captured: Captured) -> None:
    class Workflow:
        user_id = "not the state's"

        @windsock.track_node
        def plain(self, state: object) -> None: ...

        @windsock.track_node
        @classmethod
        def of_class(cls, state: object) -> None: ...

        @windsock.track_node("static")
        @staticmethod
        def static(state: object) -> None: ...

        @windsock.track_node
        async def asynchronous(self, state: object) -> None: ...

    workflow = Workflow()
    workflow.plain(UNIT)
    workflow.of_class(UNIT)
    workflow.static(UNIT)
    asyncio.run(workflow.asynchronous(UNIT))

    assert [event["operation"] for event in captured.events] == [
        "plain",
        "of_class",
        "static",
        "asynchronous",
    ]
    assert [unit_of(event) for event in captured.events] == [UNIT] * 4
    for method in (workflow.plain, workflow.of_class, workflow.static):
        assert method.__windsock_operation__  # type: ignore[attr-defined]  # Set by us.


def test_an_object_that_is_called_is_a_node_too(captured: Captured) -> None:
    class Answer:
        async def __call__(self, state: object) -> str:
            await asyncio.sleep(0)
            assert captured.events == []
            return "42"

    node = windsock.track_node(Answer())

    assert asyncio.run(node(UNIT)) == "42"
    assert [event["operation"] for event in captured.events] == ["Answer"]
    assert unit_of(captured.events[0]) == UNIT


def test_the_error_of_a_node_is_recorded_with_its_state_and_goes_on(captured: Captured) -> None:
    error = TimeoutError("no answer")

    @windsock.track_node
    async def ask(state: object) -> NoReturn:
        raise error

    with pytest.raises(TimeoutError) as raised:
        asyncio.run(ask(UNIT))

    [event] = captured.events
    assert raised.value is error
    assert (event["status"], event["error_type"], event["error_message"]) == (
        "error",
        "TimeoutError",
        "no answer",
    )
    assert "test_nodes.py" in event["error_context"]["where"]
    assert unit_of(event) == UNIT


def test_the_operation_is_ambient_inside_and_restored_after(captured: Captured) -> None:
    seen = []

    @windsock.track_node("inner")
    def inner(state: object) -> None:
        seen.append(OPERATION.get())

    @windsock.track_node("outer")
    def outer(state: object) -> None:
        inner(state)
        seen.append(OPERATION.get())
        raise KeyError

    with pytest.raises(KeyError):
        outer(UNIT)

    assert seen == ["inner", "outer"]
    assert OPERATION.get() is None
    windsock.get_metrics_collector().record_quality("after", 5)
    assert unit_of(captured.events[-1]) == {}


def test_a_generator_keeps_its_state_to_itself(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()
    seen = []

    @windsock.track_node
    def stream(state: object) -> Generator[str, str, str]:
        with windsock.context(step=1):
            try:
                seen.append((yield "first"))
            except KeyError:
                collector.record_quality("inside", 5)
        return (yield "second")

    steps = stream(UNIT)
    assert next(steps) == "first"
    collector.record_quality("outside", 5)
    assert OPERATION.get() is None
    assert steps.throw(KeyError()) == "second"
    with pytest.raises(StopIteration, match="end"):
        steps.send("end")

    outside, inside, node = captured.events
    assert unit_of(outside) == {}
    assert (unit_of(inside), inside["attributes"]) == (UNIT, {"step": 1})
    assert (unit_of(node), "attributes" in node) == (UNIT, False)
    assert seen == []


def test_what_a_block_in_a_generator_says_ends_with_the_block(captured: Captured) -> None:
    @windsock.track_node
    def stream(state: object) -> Generator[int]:
        with windsock.context(step=1):
            yield 1

    assert list(stream(UNIT)) == [1]

    [event] = captured.events
    assert unit_of(event) == UNIT
    assert "attributes" not in event


async def test_an_asynchronous_generator_keeps_its_state_to_itself(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    @windsock.track_node
    async def stream(state: object) -> AsyncGenerator[int]:
        for number in range(3):
            collector.record_quality("inside", number)
            yield number

    async for number in stream(UNIT):
        assert OPERATION.get() is None
        collector.record_quality("outside", number)

    carried = [(event["operation"], unit_of(event)) for event in captured.events]
    assert carried == [("inside", UNIT), ("outside", {})] * 3 + [("stream", UNIT)]


async def test_a_stream_of_a_node_may_end_early_or_fail(captured: Captured) -> None:
    closed = []

    @windsock.track_node
    async def stream(state: object) -> AsyncGenerator[int]:
        try:
            yield 1
            raise ConnectionError("gone")
        finally:
            closed.append(OPERATION.get())

    early = stream(UNIT)
    assert await anext(early) == 1
    await early.aclose()
    with pytest.raises(ConnectionError):
        assert [step async for step in stream(UNIT)]

    assert closed == ["stream", "stream"]
    assert [event.get("error_type") for event in captured.events] == [None, "ConnectionError"]
    assert [unit_of(event) for event in captured.events] == [UNIT, UNIT]


@types.coroutine
def pause() -> Generator[None]:
    yield


def test_a_node_may_be_closed_in_another_context(captured: Captured) -> None:
    @windsock.track_node
    async def node(state: object) -> None:
        await pause()

    run = node(UNIT)
    contextvars.copy_context().run(run.send, None)
    run.close()

    [event] = captured.events
    assert (event["operation"], unit_of(event)) == ("node", UNIT)
    assert "error_type" not in event


def test_a_node_amid_much_metadata_takes_the_room_of_it(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object) -> None: ...

    with windsock.context(text="x" * 2_000):
        node(UNIT)

    assert len(captured.buffer.events) == 2
    assert unit_of(captured.events[0]) == UNIT


def test_nodes_beyond_the_bound_of_the_buffer_are_dropped(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object) -> None: ...

    captured.buffer.fast_limit = 1
    node(UNIT)
    node(UNIT)

    assert captured.stats().dropped == {"buffer_full": 1}
    assert len(captured.events) == 1


def test_values_that_are_equal_and_read_differently_are_kept_apart(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object) -> None: ...

    for user_id in ("1", 1, True, 1.0):
        node({"user_id": user_id})

    assert [event["user_id"] for event in captured.events] == ["1", "1", "True", "1.0"]


class Hostile:
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError

    def __hash__(self) -> NoReturn:
        raise LookupError

    def __eq__(self, other: object) -> NoReturn:
        raise LookupError


class HostileMapping(StateOfMapping):
    def __getitem__(self, key: str) -> NoReturn:
        raise ZeroDivisionError


def test_a_state_that_cannot_be_read_is_counted(captured: Captured) -> None:
    @windsock.track_node
    def node(state: object) -> None: ...

    node(HostileMapping())

    assert [event["operation"] for event in captured.events] == ["node"]
    assert captured.stats().truncated == 1


anything = st.one_of(
    st.none(),
    st.text(alphabet=st.characters(codec=None)),
    st.integers(),
    st.builds(Hostile),
    st.builds(HostileMapping),
    st.lists(st.none()),
    st.just("x" * 5_000),
)


@settings(max_examples=100, deadline=None)
@given(
    state=anything | st.dictionaries(st.sampled_from(sorted(UNIT)), anything),
    around=st.dictionaries(st.sampled_from(sorted(UNIT)), anything),
)
def test_no_state_keeps_a_node_from_running(state: object, around: dict[str, Any]) -> None:
    @windsock.track_node
    def node(state: object) -> str:
        return "ran"

    with capture() as captured:
        with windsock.context(**around):
            assert node(state) == "ran"
            assert node(state) == "ran"

        first, second = captured.events
        assert unit_of(first) == unit_of(second)
        assert first["operation"] == "node"
