from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListLLM, FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import Generation, LLMResult
from langchain_core.runnables import RunnableConfig

import windsock
from tests.sdk.integration.provider_models import MODEL, USAGE, AnsweringModel
from windsock.integrations.langchain import WindsockCallbackHandler
from windsock.testing import Captured


class RefusedError(Exception):
    status_code = 429


@pytest.fixture
def config() -> RunnableConfig:
    return {"callbacks": [WindsockCallbackHandler()]}


def the_call(captured: Captured) -> dict[str, Any]:
    (call,) = captured.of_type("llm_call")
    return call


def test_a_call_is_recorded_with_its_tokens(config: RunnableConfig, captured: Captured) -> None:
    AnsweringModel().invoke("Hello?", config)

    call = the_call(captured)
    assert call["operation"] == "chat"
    assert call["provider"] == "openai"
    assert call["model"] == MODEL
    assert call["attributes"] == {"requested_model": "gpt-4o-mini"}
    assert call["input_tokens"] == 1200
    assert call["cached_input_tokens"] == 1024
    assert call["output_tokens"] == 150
    assert call["reasoning_tokens"] == 40
    assert call["status"] == "ok"
    assert call["duration_ms"] > 0
    (looked_up,) = captured.of_type("cache")
    assert looked_up["layer"] == "prompt"
    assert looked_up["hit"] is True


async def test_an_asynchronous_call_is_recorded_alike(
    config: RunnableConfig, captured: Captured
) -> None:
    await AnsweringModel(pause_seconds=0.05).ainvoke("Hello?", config)

    call = the_call(captured)
    assert call["input_tokens"] == 1200
    assert call["duration_ms"] >= 50


def test_a_message_from_langchain_s_own_fake_is_recorded(
    config: RunnableConfig, captured: Captured
) -> None:
    model = FakeMessagesListChatModel(responses=[AIMessage("hello", usage_metadata=USAGE)])

    model.invoke("Hello?", config)

    call = the_call(captured)
    assert call["output_tokens"] == 150
    assert "model" not in call


async def test_a_stream_is_recorded_at_its_end(config: RunnableConfig, captured: Captured) -> None:
    model = AnsweringModel(pause_seconds=0.05)

    assert [chunk.content async for chunk in model.astream("Hello?", config)][:2] == ["hel", "lo"]
    assert "".join(str(chunk.content) for chunk in model.stream("Hello?", config)) == "hello"

    for call in captured.of_type("llm_call"):
        assert call["input_tokens"] == 1200
        assert call["model"] == MODEL
        assert 50 <= call["attributes"]["time_to_first_token_ms"] <= call["duration_ms"]
    assert len(captured.of_type("llm_call")) == 2


@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_the_newer_streams_are_recorded_too(
    config: RunnableConfig, captured: Captured
) -> None:
    stream = await AnsweringModel().astream_events("Hello?", config, version="v3")
    message = await stream

    call = the_call(captured)
    assert message.text == "hello"
    assert call["input_tokens"] == 1200
    assert "time_to_first_token_ms" in call["attributes"]


def test_without_usage_the_tokens_are_unknown(config: RunnableConfig, captured: Captured) -> None:
    AnsweringModel(usage=None).invoke("Hello?", config)

    call = the_call(captured)
    assert call["status"] == "ok"
    assert call["attributes"]["tokens"] == "unknown"
    assert captured.of_type("cache") == []


def test_an_error_is_recorded_and_goes_on(config: RunnableConfig, captured: Captured) -> None:
    with pytest.raises(RefusedError):
        AnsweringModel(error=RefusedError("not now")).invoke("Hello?", config)

    call = the_call(captured)
    assert call["status"] == "error"
    assert call["error_type"] == "RefusedError"
    assert call["error_message"] == "not now"
    assert "attributes" not in call


def test_an_error_that_cannot_be_written_is_an_error_all_the_same(
    config: RunnableConfig, captured: Captured
) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with pytest.raises(MuteError):
        AnsweringModel(error=MuteError()).invoke("Hello?", config)

    assert the_call(captured)["error_type"] == "MuteError"


async def test_a_stream_that_breaks_is_an_error(config: RunnableConfig, captured: Captured) -> None:
    model = AnsweringModel(error=ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError):
        async for _ in model.astream("Hello?", config):
            pass

    call = the_call(captured)
    assert call["error_type"] == "ConnectionResetError"
    assert call["attributes"]["tokens"] == "unknown"
    assert "time_to_first_token_ms" in call["attributes"]


def test_a_reader_who_stops_makes_no_error(config: RunnableConfig, captured: Captured) -> None:
    stream = AnsweringModel().stream("Hello?", config)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # It is a generator.

    assert the_call(captured)["status"] == "ok"


async def test_a_cancelled_stream_is_an_error(config: RunnableConfig, captured: Captured) -> None:
    async def read() -> None:
        async for _ in AnsweringModel(pause_seconds=5).astream("Hello?", config):
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 0.05)

    assert the_call(captured)["error_type"] == "CancelledError"


def test_an_answer_from_a_cache_is_no_call(config: RunnableConfig, captured: Captured) -> None:
    model = AnsweringModel(cache=InMemoryCache())

    model.invoke("Hello?", config)
    assert model.invoke("Hello?", config).content == "hello"

    assert len(captured.of_type("llm_call")) == 1


def test_a_model_that_completes_text_is_recorded(
    config: RunnableConfig, captured: Captured
) -> None:
    FakeListLLM(responses=["hello"]).invoke("Hello?", config)

    call = the_call(captured)
    assert call["operation"] == "completions"
    assert call["attributes"] == {"tokens": "unknown"}


def test_usage_beside_the_messages_is_read(captured: Captured) -> None:
    handler = WindsockCallbackHandler()
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    answer = LLMResult(
        generations=[[Generation(text="hello")]],
        llm_output={"token_usage": usage, "model_name": "gpt-3.5-turbo-instruct"},
    )
    run = "a run's id"

    handler.on_llm_start({}, ["Hello?"], run_id=run)  # type: ignore[arg-type]
    handler.on_llm_end(answer, run_id=run)  # type: ignore[arg-type]

    call = the_call(captured)
    assert (call["input_tokens"], call["output_tokens"]) == (12, 3)
    assert call["model"] == "gpt-3.5-turbo-instruct"


def test_the_provider_may_be_named(captured: Captured) -> None:
    handler = WindsockCallbackHandler(provider="google")

    AnsweringModel().invoke("Hello?", {"callbacks": [handler]})

    assert the_call(captured)["provider"] == "google"


def test_the_operation_and_the_user_are_those_around(
    config: RunnableConfig, captured: Captured
) -> None:
    @windsock.track_node("ask")
    def ask(state: dict[str, str]) -> None:
        AnsweringModel().invoke("Hello?", config)

    ask({"user_id": "u-1", "gap_priority": "HIGH"})

    call = the_call(captured)
    assert call["operation"] == "ask"
    assert call["user_id"] == "u-1"
    assert call["gap_priority"] == "HIGH"


async def test_calls_side_by_side_are_kept_apart(captured: Captured) -> None:
    handler = WindsockCallbackHandler()

    async def ask(number: int) -> None:
        metadata = {"user_id": f"u-{number}"}
        usage = USAGE.copy()
        usage["input_tokens"] += number
        model = AnsweringModel(usage=usage, pause_seconds=0.01 * (number % 3))
        await model.ainvoke("Hello?", {"callbacks": [handler], "metadata": metadata})

    await asyncio.gather(*(ask(number) for number in range(20)))

    seen = {(call["user_id"], call["input_tokens"]) for call in captured.of_type("llm_call")}
    assert seen == {(f"u-{number}", 1200 + number) for number in range(20)}


def test_an_odd_answer_disturbs_nobody(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    handler: BaseCallbackHandler = WindsockCallbackHandler()
    handler.on_llm_end("no answer", run_id="unknown")  # type: ignore[arg-type]
    handler.on_chat_model_start({}, [[]], run_id="r-1", metadata={"langgraph_node": object()})  # type: ignore[arg-type]
    handler.on_llm_end(object(), run_id="r-1")  # type: ignore[arg-type]

    assert the_call(captured)["attributes"] == {"tokens": "unknown"}
    assert caplog.records == []
