from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

import windsock
from tests.sdk.integration.provider_server import MODEL, Answer, Provider
from windsock.integrations.openai import instrument_openai
from windsock.testing import Captured

ASKED: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
STREAMED: Any = {**ASKED, "stream": True}


async def chunks_of(client: openai.AsyncOpenAI, **more: Any) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in await client.chat.completions.create(**STREAMED, **more)]


def the_call(captured: Captured) -> dict[str, Any]:
    (call,) = captured.of_type("llm_call")
    return call


async def test_a_stream_is_recorded_at_its_end_with_its_tokens(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    text = ""
    async for chunk in await client.chat.completions.create(**STREAMED):
        assert captured.events == []
        assert chunk.usage is None
        text += chunk.choices[0].delta.content or ""

    call = the_call(captured)
    assert text == '{"ok": true}'
    assert provider.requests[0]["stream_options"] == {"include_usage": True}
    assert call["status"] == "ok"
    assert call["model"] == MODEL
    assert call["input_tokens"] == 1200
    assert call["cached_input_tokens"] == 1024
    assert call["output_tokens"] == 150
    assert 0 < call["attributes"]["time_to_first_token_ms"] <= call["duration_ms"]
    assert [event["hit"] for event in captured.of_type("cache")] == [True]


async def test_the_first_token_is_the_first_text(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(pause_seconds=0.1))

    await chunks_of(client)

    assert the_call(captured)["attributes"]["time_to_first_token_ms"] >= 100


@pytest.mark.parametrize("where", ["argument", "extra_body"])
async def test_a_caller_who_asks_for_the_usage_gets_it(
    client: openai.AsyncOpenAI, captured: Captured, where: str
) -> None:
    asked = {"stream_options": {"include_usage": True}}

    chunks = await chunks_of(client, **(asked if where == "argument" else {"extra_body": asked}))

    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert the_call(captured)["input_tokens"] == chunks[-1].usage.prompt_tokens == 1200


@pytest.mark.parametrize("where", ["argument", "extra_body"])
async def test_a_caller_who_declines_the_usage_is_not_overruled(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured, where: str
) -> None:
    declined = {"stream_options": {"include_usage": False}}

    await chunks_of(client, **(declined if where == "argument" else {"extra_body": declined}))

    call = the_call(captured)
    assert provider.requests[0]["stream_options"] == {"include_usage": False}
    assert call["status"] == "ok"
    assert call["attributes"]["tokens"] == "unknown"


async def test_other_options_of_the_stream_are_kept(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    await chunks_of(client, stream_options={"include_obfuscation": False})

    assert provider.requests[0]["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    assert the_call(captured)["input_tokens"] == 1200


async def test_a_provider_that_refuses_to_be_asked_is_not_asked(
    provider: Provider, captured: Captured
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="k") as client:
        await chunks_of(instrument_openai(client, provider="mistral"))

    assert "stream_options" not in provider.requests[0]
    assert the_call(captured)["provider"] == "mistral"


async def test_a_cut_stream_is_an_error(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(cut=2))

    with pytest.raises(openai.APIConnectionError):
        await chunks_of(client)

    call = the_call(captured)
    assert call["status"] == "error"
    assert call["error_type"] == "StreamCut"
    assert "RemoteProtocolError" in call["error_message"]
    assert call["input_tokens"] == call["output_tokens"] == 0
    assert call["attributes"]["tokens"] == "unknown"


async def test_a_stream_that_ends_before_its_answer_is_an_error(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(ends=2))

    assert len(await chunks_of(client)) == 2
    assert the_call(captured)["error_type"] == "StreamCut"


async def test_an_error_inside_a_stream_keeps_its_type(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(fault={"error": {"message": "overloaded", "type": "x"}}))

    with pytest.raises(openai.APIError):
        await chunks_of(client)

    call = the_call(captured)
    assert call["error_type"] == "APIError"
    assert call["error_message"] == "overloaded"


async def test_a_slow_stream_times_out(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(pause_seconds=0.5))

    with pytest.raises(openai.APITimeoutError):
        await chunks_of(client, timeout=0.05)

    assert the_call(captured)["error_type"] == "APITimeoutError"


async def test_a_refused_stream_is_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(status=503))

    with pytest.raises(openai.InternalServerError):
        await chunks_of(client)

    assert the_call(captured)["error_type"] == "InternalServerError"


async def test_a_caller_who_stops_reading_makes_no_error(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async with await client.chat.completions.create(**STREAMED) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    closed = await client.chat.completions.create(**STREAMED)
    await closed.close()

    first, second = captured.of_type("llm_call")
    assert first["status"] == second["status"] == "ok"
    assert first["attributes"]["tokens"] == second["attributes"]["tokens"] == "unknown"
    assert "time_to_first_token_ms" in first["attributes"]
    assert "time_to_first_token_ms" not in second["attributes"]


async def test_a_stream_that_is_dropped_is_recorded_up_to_its_last_item(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    began = time.perf_counter()
    stream = await client.chat.completions.create(**STREAMED)
    await anext(stream)
    came = time.perf_counter()
    await asyncio.sleep(0.05)

    del stream
    gc.collect()
    # Python closes a dropped asynchronous generator in a task of its own.
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    call = the_call(captured)
    assert call["status"] == "ok"
    assert call["duration_ms"] <= (came - began) * 1e3


async def test_a_reader_cancelled_while_it_waits_is_an_error(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(pause_seconds=0.5))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(chunks_of(client), 0.1)

    assert the_call(captured)["error_type"] == "CancelledError"


async def test_a_reader_cancelled_between_two_items_is_an_error(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async def read() -> None:
        async with await client.chat.completions.create(**STREAMED) as stream:
            async for _ in stream:
                await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 0.1)

    assert the_call(captured)["error_type"] == "CancelledError"


async def test_the_stream_is_what_the_client_makes(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    stream = await client.chat.completions.create(**STREAMED)

    assert isinstance(stream, openai.AsyncStream)
    assert stream.response.status_code == 200
    first = await anext(stream)
    rest = [chunk async for chunk in stream]
    assert first.choices[0].delta.role == "assistant"
    assert len(rest) == 3
    assert [chunk async for chunk in stream] == []
    assert len(captured.of_type("llm_call")) == 1


async def test_a_stream_belongs_to_the_context_that_asked_for_it(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    @windsock.track_node("ask")
    async def node(state: dict[str, str]) -> openai.AsyncStream[ChatCompletionChunk]:
        stream: openai.AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(
            **STREAMED
        )
        return stream

    stream = await node({"user_id": "u-1"})
    with windsock.context(user_id="another"):
        assert len([chunk async for chunk in stream]) == 4

    call = the_call(captured)
    assert call["operation"] == "ask"
    assert call["user_id"] == "u-1"


async def test_the_chat_helper_is_recorded(client: openai.AsyncOpenAI, captured: Captured) -> None:
    async with client.chat.completions.stream(**ASKED) as stream:
        completion = await stream.get_final_completion()

    assert completion.choices[0].message.content == '{"ok": true}'
    assert completion.usage is None
    assert the_call(captured)["output_tokens"] == 150


async def test_the_chat_helper_may_be_left_early(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async with client.chat.completions.stream(**ASKED) as stream:
        async for event in stream:
            if event.type == "content.delta":
                break

    call = the_call(captured)
    assert call["status"] == "ok"
    assert call["attributes"]["tokens"] == "unknown"


async def test_a_streamed_response_is_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    events = [
        e.type async for e in await client.responses.create(model="m", input="?", stream=True)
    ]
    async with client.responses.stream(model="m", input="Hello?") as stream:
        response = await stream.get_final_response()

    calls = captured.of_type("llm_call")
    assert events[-1] == "response.completed"
    assert response.output_text == '{"ok": true}'
    assert [call["input_tokens"] for call in calls] == [300, 300]
    assert [call["operation"] for call in calls] == ["responses", "responses"]
    assert all("time_to_first_token_ms" in call["attributes"] for call in calls)
    assert all("stream_options" not in request for request in provider.requests)


async def test_a_response_that_failed_is_an_error_with_its_tokens(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.extend([Answer(finish_reason="failed")] * 2)

    await client.responses.create(model="m", input="Hello?")
    async for _ in await client.responses.create(model="m", input="Hello?", stream=True):
        pass

    calls = captured.of_type("llm_call")
    assert [call["error_type"] for call in calls] == ["server_error", "server_error"]
    assert [call["error_message"] for call in calls] == ["it broke", "it broke"]
    assert [call["input_tokens"] for call in calls] == [300, 300]


async def test_an_error_among_the_events_of_a_response_is_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    fault = {"type": "error", "code": "overloaded", "message": "later", "sequence_number": 0}
    provider.answers.append(Answer(fault=fault))
    provider.answers.append(Answer(ends=2))

    for _ in range(2):
        async for _ in await client.responses.create(model="m", input="Hello?", stream=True):
            pass

    calls = captured.of_type("llm_call")
    assert [call["error_type"] for call in calls] == ["overloaded", "StreamCut"]


async def test_a_raw_stream_is_recorded_once_it_is_parsed(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    raw = await client.chat.completions.with_raw_response.create(**STREAMED)
    chunks = [chunk async for chunk in raw.parse()]

    assert [chunk.usage for chunk in chunks] == [None] * 4
    assert the_call(captured)["input_tokens"] == 1200


async def test_a_raw_stream_that_nobody_parses_is_recorded(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    raw = await client.chat.completions.with_raw_response.create(**STREAMED)
    await raw.http_response.aclose()

    assert the_call(captured)["attributes"]["tokens"] == "unknown"


async def test_lines_read_by_hand_are_those_that_were_asked_for(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    streaming = client.chat.completions.with_streaming_response

    async with streaming.create(**STREAMED) as response:
        lines = [line async for line in response.iter_lines() if line]
    async with streaming.create(**STREAMED) as response:
        chunks = [chunk async for chunk in await response.parse()]

    assert "stream_options" not in provider.requests[0]
    assert len(lines) == 5
    assert len(chunks) == 4
    calls = captured.of_type("llm_call")
    assert [call["attributes"]["tokens"] for call in calls] == ["unknown", "unknown"]
    assert [call["status"] for call in calls] == ["ok", "ok"]


async def test_the_synchronous_client_s_streams_are_recorded_alike(
    provider: Provider, captured: Captured
) -> None:
    provider.answers.extend([Answer(), Answer(cut=2), Answer(ends=2), Answer(), Answer()])

    def ask() -> list[int]:
        lengths = []
        with instrument_openai(
            openai.OpenAI(base_url=provider.url, api_key="k", max_retries=0)
        ) as client:
            create = client.chat.completions.create
            lengths.append(len(list(create(**STREAMED))))
            with pytest.raises(openai.APIConnectionError):
                list(create(**STREAMED))
            lengths.append(len(list(create(**STREAMED))))
            with create(**STREAMED) as stream:
                next(stream)
            with client.chat.completions.stream(**ASKED) as helper:
                lengths.append(len(list(helper)))
        return lengths

    assert await asyncio.to_thread(ask) == [4, 2, 8]
    calls = captured.of_type("llm_call")
    assert [call.get("error_type") for call in calls] == [
        None,
        "StreamCut",
        "StreamCut",
        None,
        None,
    ]
    assert [call["input_tokens"] for call in calls] == [1200, 0, 0, 0, 1200]
