import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncGenerator, Generator
from typing import NoReturn

import pytest

import windsock
from windsock.testing import Captured


def test_a_block_is_timed(captured: Captured) -> None:
    with windsock.track_performance("retrieve"):
        pass

    [event] = captured.events
    assert event["type"] == "performance"
    assert event["operation"] == "retrieve"
    assert event["environment"] == "production"
    assert 0 <= event["duration_ms"] < 1_000


def test_metadata_becomes_fields_and_attributes(captured: Captured) -> None:
    metadata = {"user_id": 42, "gap_priority": "high", "flags": {"new": True}, "chunks": 3}

    with windsock.track_performance("retrieve", metadata=metadata):
        metadata["chunks"] = 4

    [event] = captured.events
    assert event["user_id"] == "42"
    assert event["gap_priority"] == "high"
    assert event["flags"] == {"new": "true"}
    assert event["attributes"] == {"chunks": 4}


def test_metadata_changed_after_the_block_is_not_in_the_event(captured: Captured) -> None:
    metadata = {"chunks": 3}

    with windsock.track_performance("retrieve", metadata=metadata):
        pass
    metadata["chunks"] = 4

    assert captured.events[0]["attributes"] == {"chunks": 3}


def test_a_block_can_be_annotated_from_inside(captured: Captured) -> None:
    with windsock.track_performance("retrieve", metadata={"top_k": 5}) as block:
        block.annotate(found=2)

    assert captured.events[0]["attributes"] == {"top_k": 5, "found": 2}


def test_an_error_is_recorded_and_goes_on_unchanged(captured: Captured) -> None:
    error = ValueError("no such document")

    with (
        pytest.raises(ValueError, match="no such document") as raised,
        windsock.track_performance("retrieve", metadata={"document": "d-7"}),
    ):
        raise error from KeyError("d-7")

    [event] = captured.events
    assert raised.value is error
    assert event["status"] == "error"
    assert event["error_type"] == "ValueError"
    assert event["error_message"] == "no such document"
    assert event["error_context"]["document"] == "d-7"
    assert event["error_context"]["cause"] == "KeyError: 'd-7'"
    assert "test_tracking.py" in event["error_context"]["where"]
    assert event["attributes"] == {"document": "d-7"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (asyncio.CancelledError(), "error"),
        (KeyboardInterrupt(), "error"),
        (SystemExit(2), "error"),
        (SystemExit(["unusual"]), "error"),
        (SystemExit(0), None),
        (SystemExit(), None),
        (GeneratorExit(), None),
    ],
    ids=repr,
)
def test_what_ends_a_block_without_being_an_exception(
    captured: Captured, error: BaseException, status: str | None
) -> None:
    with pytest.raises(type(error)), windsock.track_performance("retrieve"):
        raise error

    assert captured.events[0].get("status") == status


def test_an_error_that_cannot_be_printed_is_recorded(captured: Captured) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> NoReturn:
            raise RuntimeError

    with pytest.raises(UnprintableError), windsock.track_performance("retrieve"):
        raise UnprintableError

    assert captured.events[0]["error_message"] == "<UnprintableError>"


async def test_an_asynchronous_block_is_timed(captured: Captured) -> None:
    async with windsock.track_performance("retrieve"):
        await asyncio.sleep(0)

    assert [event["operation"] for event in captured.events] == ["retrieve"]


def test_a_function_is_timed_at_each_call(captured: Captured) -> None:
    @windsock.track_performance("add", metadata={"unit": "ms"})
    def add(one: int, other: int) -> int:
        """Add."""
        return one + other

    assert add(1, other=2) + add(3, 4) == 10
    assert add.__doc__ == "Add."
    assert [event["operation"] for event in captured.events] == ["add", "add"]


def test_a_recursive_function_is_timed_at_each_depth(captured: Captured) -> None:
    @windsock.track_performance("factorial")
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(4) == 24
    assert len(captured.events) == 5


async def test_a_coroutine_function_is_timed_to_its_end(captured: Captured) -> None:
    @windsock.track_performance("answer")
    async def answer() -> str:
        await asyncio.sleep(0)
        assert captured.events == []
        return "42"

    assert inspect.iscoroutinefunction(answer)
    assert await answer() == "42"
    assert len(captured.events) == 1


def test_a_generator_is_timed_from_its_first_step_to_its_end(captured: Captured) -> None:
    @windsock.track_performance("stream")
    def stream() -> Generator[int, int, str]:
        received = yield 1
        yield received
        return "end"

    steps = stream()
    assert captured.events == []
    assert next(steps) == 1
    assert steps.send(7) == 7
    with pytest.raises(StopIteration, match="end"):
        next(steps)

    assert len(captured.events) == 1


async def test_an_asynchronous_generator_passes_values_and_exceptions_on(
    captured: Captured,
) -> None:
    @windsock.track_performance("stream")
    async def stream() -> AsyncGenerator[str, str]:
        received = yield "first"
        try:
            yield received
        except KeyError:
            yield "caught"

    steps = stream()
    assert await anext(steps) == "first"
    assert await steps.asend("sent") == "sent"
    assert await steps.athrow(KeyError()) == "caught"
    assert [step async for step in steps] == []

    assert [event.get("status") for event in captured.events] == [None]


async def test_a_stream_left_early_ends_normally(captured: Captured) -> None:
    closed = []

    @windsock.track_performance("stream")
    async def stream() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    steps = stream()
    assert await anext(steps) == 1
    await steps.aclose()

    assert closed == [True]
    assert [event.get("status") for event in captured.events] == [None]


async def test_a_stream_that_fails_is_an_error(captured: Captured) -> None:
    @windsock.track_performance("stream")
    async def stream() -> AsyncGenerator[int]:
        yield 1
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        assert [step async for step in stream()]

    assert [event["error_type"] for event in captured.events] == ["ConnectionError"]


def test_methods_of_every_kind_can_be_decorated(captured: Captured) -> None:
    class Service:
        @windsock.track_performance("plain")
        def plain(self) -> str:
            return type(self).__name__

        @windsock.track_performance("static")
        @staticmethod
        def static() -> str:
            return "static"

        @windsock.track_performance("class")
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

        @windsock.track_performance  # type: ignore[arg-type]  # Wrong, and works all the same.
        def bare(self, text: str) -> str:
            return text

    service = Service()

    assert (service.plain(), service.static(), service.of_class()) == (
        "Service",
        "static",
        "Service",
    )
    assert service.bare("text") == "text"
    assert [event["operation"].rpartition(".")[2] for event in captured.events] == [
        "plain",
        "static",
        "class",
        "bare",
    ]


def test_nested_contexts_add_up_and_end(captured: Captured) -> None:
    collector = windsock.get_metrics_collector()

    with windsock.context(user_id="u", flags={"a": "on"}, attributes={"region": "eu"}, depth=1):
        with windsock.context(session_id="s", flags={"b": "off"}, depth=2, user_id=None):
            collector.record_quality("evaluate", 7.5)
        collector.record_quality("evaluate", 7.5)
    collector.record_quality("evaluate", 7.5)

    inner, outer, bare = captured.events
    assert (inner["user_id"], inner["session_id"]) == ("u", "s")
    assert inner["flags"] == {"a": "on", "b": "off"}
    assert inner["attributes"] == {"region": "eu", "depth": 2}
    assert outer["attributes"] == {"region": "eu", "depth": 1}
    assert "session_id" not in outer
    assert "user_id" not in bare


def test_explicit_metadata_wins_over_ambient(captured: Captured) -> None:
    with windsock.context(user_id="ambient", gap_priority="low", environment="staging"):
        windsock.get_metrics_collector().record_quality(
            "evaluate", 7.5, metadata={"gap_priority": "high"}, user_id="explicit"
        )

    [event] = captured.events
    assert (event["user_id"], event["gap_priority"]) == ("explicit", "high")
    assert event["environment"] == "staging"


async def test_tasks_keep_their_contexts_apart(captured: Captured) -> None:
    async def work(user: str) -> None:
        with windsock.context(user_id=user):
            await asyncio.sleep(0)
            async with windsock.track_performance(user):
                await asyncio.sleep(0)

    await asyncio.gather(*(work(f"u{n}") for n in range(5)))

    assert len(captured.events) == 5
    assert all(event["user_id"] == event["operation"] for event in captured.events)


def test_a_thread_starts_without_and_can_be_given_the_context(captured: Captured) -> None:
    def work() -> None:
        with windsock.track_performance("work"):
            pass

    with windsock.context(user_id="u"):
        threads = [
            threading.Thread(target=work),
            threading.Thread(target=contextvars.copy_context().run, args=(work,)),
        ]
        for thread in threads:
            thread.start()
            thread.join()

    assert [event.get("user_id") for event in captured.events] == [None, "u"]


def test_a_context_left_elsewhere_does_not_raise(captured: Captured) -> None:
    block = windsock.context(user_id="u")
    contextvars.copy_context().run(block.__enter__)

    block.__exit__()

    windsock.get_metrics_collector().record_quality("evaluate", 1)
    assert "user_id" not in captured.events[0]
