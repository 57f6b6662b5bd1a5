from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import openai
import pydantic
import pytest

import windsock
from tests.sdk.integration.provider_server import MODEL, Answer, Provider
from windsock.ambient import OPERATION
from windsock.integrations.openai import instrument_openai
from windsock.testing import Captured, capture

ASKED: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}


class Verdict(pydantic.BaseModel):
    ok: bool


def sync_client(provider: Provider) -> openai.OpenAI:
    return instrument_openai(openai.OpenAI(base_url=provider.url, api_key="k", max_retries=0))


async def test_a_chat_is_recorded_with_its_tokens(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    answer = await client.chat.completions.create(**ASKED)

    (call,) = captured.of_type("llm_call")
    assert answer.choices[0].message.content == '{"ok": true}'
    assert call["operation"] == "chat"
    assert call["model"] == MODEL
    assert call["attributes"] == {"requested_model": "gpt-4o-mini"}
    assert call["input_tokens"] == 1200
    assert call["cached_input_tokens"] == 1024
    assert call["output_tokens"] == 150
    assert call["reasoning_tokens"] == 40
    assert call["status"] == "ok"
    assert 0 < call["duration_ms"] < 10_000


async def test_the_provider_s_prompt_cache_is_a_look_up(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    missed = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    provider.answers.append(Answer())
    provider.answers.append(Answer(usage=missed | {"prompt_tokens_details": {"cached_tokens": 0}}))
    provider.answers.append(Answer(usage=missed))

    for _ in range(3):
        await client.chat.completions.create(**ASKED)

    assert [event["hit"] for event in captured.of_type("cache")] == [True, False]
    assert {event["layer"] for event in captured.of_type("cache")} == {"prompt"}
    assert {event["operation"] for event in captured.of_type("cache")} == {"chat"}


async def test_every_kind_of_call_is_recorded(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    await client.responses.create(model="m", input="Hello?")
    await client.embeddings.create(model="m", input="Hello?")
    await client.completions.create(model="m", prompt="Hello?")

    calls = captured.of_type("llm_call")
    assert [call["operation"] for call in calls] == ["responses", "embeddings", "completions"]
    assert [call["input_tokens"] for call in calls] == [300, 12, 1200]
    assert [call["output_tokens"] for call in calls] == [20, 0, 150]
    assert calls[0]["cache_write_tokens"] == 256
    assert [call["model"] for call in calls] == [MODEL, "e-5", MODEL]


async def test_parsed_answers_are_recorded(client: openai.AsyncOpenAI, captured: Captured) -> None:
    chat = await client.chat.completions.parse(**ASKED, response_format=Verdict)
    response = await client.responses.parse(model="m", input="Hello?", text_format=Verdict)

    assert chat.choices[0].message.parsed == response.output_parsed == Verdict(ok=True)
    assert [call["input_tokens"] for call in captured.of_type("llm_call")] == [1200, 300]


async def test_tokens_of_an_answer_that_cannot_be_parsed_are_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(text='{"ok"', finish_reason="length"))

    with pytest.raises(openai.LengthFinishReasonError):
        await client.chat.completions.parse(**ASKED, response_format=Verdict)

    (call,) = captured.of_type("llm_call")
    assert call["status"] == "error"
    assert call["error_type"] == "LengthFinishReasonError"
    assert call["output_tokens"] == 150


async def test_what_is_no_call_of_a_model_is_not_recorded(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    models = await client.models.list()
    # The provider knows no list of stored chats, which has the path of a new one.
    with pytest.raises(openai.APIStatusError):
        await client.chat.completions.list()

    assert [model.id for model in models.data] == [MODEL]
    assert captured.events == []


async def test_the_synchronous_client_is_recorded_alike(
    provider: Provider, captured: Captured
) -> None:
    with sync_client(provider) as client:
        await asyncio.to_thread(lambda: client.chat.completions.create(**ASKED))
        await asyncio.to_thread(client.embeddings.create, model="m", input="Hello?")

    assert [call["input_tokens"] for call in captured.of_type("llm_call")] == [1200, 12]


async def test_azure_s_clients_are_recorded(provider: Provider, captured: Captured) -> None:
    endpoint = provider.url.removesuffix("/v1")
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=endpoint, api_key="k", api_version="v"
    ) as client:
        await instrument_openai(client).chat.completions.create(**ASKED)

    (call,) = captured.of_type("llm_call")
    assert call["provider"] == "azure"
    assert call["input_tokens"] == 1200


async def test_the_operation_is_the_argument_s_or_the_node_s(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    @windsock.track_node("ask")
    async def node(state: dict[str, str]) -> None:
        await client.chat.completions.create(**ASKED)
        await named.chat.completions.create(**ASKED)

    async with openai.AsyncOpenAI(base_url=provider.url, api_key="k") as other:
        named = instrument_openai(other, operation="summarise")
        await node({"gap_priority": "HIGH"})

    calls = captured.of_type("llm_call")
    assert [call["operation"] for call in calls] == ["ask", "summarise"]
    assert [call["gap_priority"] for call in calls] == ["HIGH", "HIGH"]


@pytest.mark.parametrize(
    ("name", "default", "recorded"),
    [("google", "openai", "google"), (None, "openai", "openai"), (None, None, "127.0.0.1")],
    ids=["argument", "default", "host"],
)
async def test_the_provider_is_the_argument_s_the_default_or_the_host(
    provider: Provider, name: str | None, default: str | None, recorded: str
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="k") as client:
        with capture(default_provider=default) as captured:
            await instrument_openai(client, provider=name).chat.completions.create(**ASKED)

    assert captured.of_type("llm_call")[0]["provider"] == recorded


async def test_a_refusal_is_recorded_with_its_type(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(status=429, headers={"Retry-After": "1"}))

    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(**ASKED)

    (call,) = captured.events
    assert call["status"] == "error"
    assert call["error_type"] == "RateLimitError"
    assert "429" in call["error_message"]
    assert call["model"] == "gpt-4o-mini"
    assert call["input_tokens"] == 0
    assert "attributes" not in call


async def test_a_call_that_the_client_tries_again_is_one_call(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(status=429, headers={"Retry-After-Ms": "30"}))

    await client.with_options(max_retries=1).chat.completions.create(**ASKED)

    (call,) = captured.of_type("llm_call")
    assert len(provider.requests) == 2
    assert call["status"] == "ok"
    assert call["duration_ms"] >= 30


async def test_a_time_out_is_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(pause_seconds=0.5))

    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(**ASKED, timeout=0.05)

    (call,) = captured.of_type("llm_call")
    assert call["error_type"] == "APITimeoutError"
    assert call["duration_ms"] >= 50
    assert call["attributes"] == {"tokens": "unknown"}


async def test_a_cancelled_call_is_recorded(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(pause_seconds=0.5))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.chat.completions.create(**ASKED), 0.05)

    (call,) = captured.of_type("llm_call")
    assert call["status"] == "error"
    assert call["error_type"] == "CancelledError"


async def test_an_unreachable_provider_is_recorded_with_the_reason(captured: Captured) -> None:
    async with openai.AsyncOpenAI(
        base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0
    ) as client:
        with pytest.raises(openai.APIConnectionError):
            await instrument_openai(client).chat.completions.create(**ASKED)

    (call,) = captured.of_type("llm_call")
    assert call["error_type"] == "APIConnectionError"
    assert "ConnectError" in call["error_message"]


async def test_a_second_time_changes_nothing(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    again = instrument_openai(client, operation="other")

    await again.chat.completions.create(**ASKED)

    assert again is client
    assert [call["operation"] for call in captured.of_type("llm_call")] == ["chat"]


async def test_clients_with_other_options_are_recorded_too(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    await client.with_options(timeout=5).chat.completions.create(**ASKED)
    await client.copy(timeout=5).with_options(max_retries=1).chat.completions.create(**ASKED)

    assert len(captured.of_type("llm_call")) == 2


async def test_other_clients_are_left_alone(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="k") as other:
        await other.chat.completions.create(**ASKED)

    assert type(client) is openai.AsyncOpenAI
    assert captured.events == []


def test_what_is_no_client_is_given_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "windsock"):
        assert instrument_openai("a client") == "a client"

    assert "str is no client of openai" in caplog.text


async def test_an_answer_with_odd_usage_reaches_the_caller(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(usage={"prompt_tokens": "many"}))
    provider.answers.append(Answer(usage={"prompt_tokens": 10**12, "completion_tokens": 1}))

    first = await client.chat.completions.create(**ASKED)
    second = await client.chat.completions.create(**ASKED)

    (call,) = captured.of_type("llm_call")
    assert first.choices[0].message.content == second.choices[0].message.content
    assert call["attributes"]["tokens"] == "unknown"
    assert captured.stats().dropped == {"invalid": 1}


async def test_a_raw_response_is_recorded_whether_it_is_parsed_or_not(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    raw = await client.chat.completions.with_raw_response.create(**ASKED)
    await client.embeddings.with_raw_response.create(model="m", input="Hello?")

    assert raw.http_response.status_code == 200
    assert raw.parse() is raw.parse()
    assert [call["input_tokens"] for call in captured.of_type("llm_call")] == [1200, 12]


async def test_a_raw_response_that_cannot_be_parsed_says_so_to_the_caller_alone(
    provider: Provider, client: openai.AsyncOpenAI, captured: Captured
) -> None:
    provider.answers.append(Answer(text='{"ok"', finish_reason="length"))

    raw = await client.chat.completions.with_raw_response.parse(**ASKED, response_format=Verdict)

    with pytest.raises(openai.LengthFinishReasonError):
        raw.parse()
    (call,) = captured.of_type("llm_call")
    assert call["status"] == "ok"
    assert call["output_tokens"] == 150


async def test_a_response_read_in_a_block_is_recorded_at_its_end(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    streaming = client.chat.completions.with_streaming_response

    async with streaming.create(**ASKED) as response:
        parsed = await response.parse()
        assert captured.events == []
    async with streaming.create(**ASKED) as response:
        body: Any = await response.json()
    async with streaming.create(**ASKED) as response:
        lines = [line async for line in response.iter_lines()]

    calls = captured.of_type("llm_call")
    assert parsed.model == body["model"] == MODEL
    assert MODEL in "".join(lines)
    assert [call["input_tokens"] for call in calls] == [1200, 1200, 0]
    assert [call["attributes"].get("tokens") for call in calls] == [None, None, "unknown"]


async def test_a_response_of_the_synchronous_client_read_in_a_block_is_recorded(
    provider: Provider, captured: Captured
) -> None:
    def ask() -> int:
        with (
            sync_client(provider) as client,
            client.embeddings.with_streaming_response.create(model="m", input="?") as response,
        ):
            return response.parse().usage.prompt_tokens

    assert await asyncio.to_thread(ask) == 12
    assert [call["input_tokens"] for call in captured.of_type("llm_call")] == [12]


async def test_calls_side_by_side_keep_their_contexts_apart(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async def ask(number: int) -> None:
        OPERATION.set(f"ask-{number}")
        with windsock.context(user_id=f"u-{number}"):
            await client.chat.completions.create(**ASKED)

    await asyncio.gather(*(ask(number) for number in range(20)))

    seen = {(call["operation"], call["user_id"]) for call in captured.of_type("llm_call")}
    assert seen == {(f"ask-{number}", f"u-{number}") for number in range(20)}


async def test_a_recorded_call_holds_nothing_back(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    await client.chat.completions.create(**ASKED)
    gc.collect()
    before = len(gc.get_objects())

    for _ in range(20):
        await client.chat.completions.create(**ASKED)
    captured.clear()
    gc.collect()

    assert len(gc.get_objects()) - before < 500
