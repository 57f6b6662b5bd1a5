"""OpenAI's own client against the simulator."""

from __future__ import annotations

import asyncio
import base64
import zlib
from typing import Any

import numpy as np
import openai
import orjson
import pytest
from rs_bpe.bpe import openai as vocabularies  # type: ignore[import-not-found]

from llm_simulator.domain.catalogue import MODELS
from tests.llm_simulator.simulators import CHAT, EMBEDDINGS, HELLO, LITE, Simulator, task

O200K = vocabularies.o200k_base()
GAPS = [
    {"id": "g1", "skill": "Kubernetes", "priority": "HIGH", "description": ""},
    {"id": "g2", "skill": "leadership", "priority": "LOW", "description": ""},
]


async def test_chat_is_answered_with_its_usage(simulator: Simulator) -> None:
    answer = await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)

    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert answer.usage is not None
    # Four tokens around the message, one of them its role, and three that open the answer.
    assert answer.usage.prompt_tokens == O200K.count(HELLO[0]["content"]) + 4 + 3
    assert answer.usage.completion_tokens == O200K.count(choice.message.content)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.model == CHAT


async def test_stream_has_the_same_answer_and_usage(simulator: Simulator) -> None:
    whole = await simulator.api.chat.completions.create(model=LITE, messages=HELLO)

    async with await simulator.api.chat.completions.create(
        model=LITE, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = [chunk async for chunk in stream]

    *parts, last = chunks
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    assert len(parts) > 10
    assert parts[0].choices[0].delta.role == "assistant"
    assert [part.usage for part in parts] == [None] * len(parts)
    assert parts[-1].choices[0].finish_reason == "stop"
    assert (last.choices, last.usage) == ([], whole.usage)


async def test_stream_without_usage_ends_with_its_reason(simulator: Simulator) -> None:
    async with await simulator.api.chat.completions.create(
        model=LITE, messages=HELLO, stream=True, max_tokens=5
    ) as stream:
        chunks = [chunk async for chunk in stream]

    assert chunks[-1].choices[0].finish_reason == "length"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert O200K.count(text) == 5


async def test_task_is_answered_with_json(simulator: Simulator) -> None:
    messages = task(task="generate_questions", language="german", gaps=GAPS)
    schema: Any = {"name": "questions", "strict": True, "schema": {"type": "object"}}

    answer = await simulator.api.chat.completions.create(
        model=CHAT,
        messages=messages,
        response_format={"type": "json_schema", "json_schema": schema},
    )

    questions = orjson.loads(answer.choices[0].message.content or "")["questions"]
    assert [(q["id"], q["skill"]) for q in questions] == [
        ("g1", "Kubernetes"),
        ("g2", "leadership"),
    ]


async def test_schema_is_parsed_into_a_value(simulator: Simulator) -> None:
    schema: Any = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }

    answer = await simulator.api.chat.completions.create(
        model="gpt-4o-mini",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}},
    )

    value = orjson.loads(answer.choices[0].message.content or "")
    assert {name: type(entry) for name, entry in value.items()} == {"city": str, "people": int}


async def test_prompt_that_came_before_is_cached(simulator: Simulator) -> None:
    stable = "You help interviewers to prepare. Ask one thing at a time.\n" * 120

    async def cached(model: str, first: str, second: str) -> int:
        answer = await simulator.api.chat.completions.create(
            model=model,
            messages=[{"role": "system", "content": first}, {"role": "user", "content": second}],
        )
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        return answer.usage.prompt_tokens_details.cached_tokens or 0

    assert await cached(CHAT, stable, "one") == 0
    length = O200K.count(stable) + 4
    assert await cached(CHAT, stable, "two") == length // 128 * 128
    assert await cached(CHAT, "three", stable) == 0
    assert await cached(LITE, stable, "one") == 0


async def test_embeddings_come_as_the_client_wants_them(simulator: Simulator) -> None:
    texts = ["Kubernetes", "k8s", "palliative care"]

    coded = await simulator.api.embeddings.create(model=EMBEDDINGS, input=texts)
    plain = await simulator.api.embeddings.create(
        model=EMBEDDINGS, input=texts, encoding_format="float"
    )

    vectors = np.array([entry.embedding for entry in coded.data])
    assert vectors.shape == (3, 768)
    np.testing.assert_allclose(vectors, [entry.embedding for entry in plain.data], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.7 > 0.2 > vectors[0] @ vectors[2]
    assert [entry.index for entry in coded.data] == [0, 1, 2]
    assert coded.usage.prompt_tokens == sum(O200K.count(text) for text in texts)


async def test_embeddings_of_one_text_of_token_ids_and_of_fewer_dimensions(
    simulator: Simulator,
) -> None:
    ids = O200K.encode("Kubernetes")

    def vector(answer: openai.types.CreateEmbeddingResponse) -> list[float]:
        return answer.data[0].embedding

    create = simulator.api.embeddings.create
    text = vector(await create(model=EMBEDDINGS, input="Kubernetes"))
    tokens = vector(await create(model=EMBEDDINGS, input=ids))
    nested = vector(await create(model=EMBEDDINGS, input=[ids]))
    short = vector(await create(model=EMBEDDINGS, input="Kubernetes", dimensions=10))

    assert text == tokens == nested
    assert np.allclose(short, np.array(text[:10]) / np.linalg.norm(text[:10]), atol=1e-6)


async def test_base64_holds_small_ended_floats(simulator: Simulator) -> None:
    body = {"model": EMBEDDINGS, "input": "Kubernetes", "encoding_format": "base64"}

    raw = (await simulator.http.post("/v1/embeddings", json=body)).json()
    plain = await simulator.http.post("/v1/embeddings", json=body | {"encoding_format": "float"})

    decoded = np.frombuffer(base64.b64decode(raw["data"][0]["embedding"]), dtype="<f4")
    np.testing.assert_allclose(decoded, plain.json()["data"][0]["embedding"], atol=1e-7)


async def test_models_are_listed(simulator: Simulator) -> None:
    assert {model.id async for model in simulator.api.models.list()} == set(MODELS)


async def test_unknown_model_is_told_with_those_that_are_known(simulator: Simulator) -> None:
    with pytest.raises(openai.NotFoundError, match=CHAT) as told:
        await simulator.api.chat.completions.create(model="gpt-7", messages=HELLO)
    with pytest.raises(openai.NotFoundError, match=EMBEDDINGS):
        await simulator.api.embeddings.create(model=CHAT, input="text")

    assert (told.value.code, told.value.param) == ("model_not_found", "model")


WRONG_CHATS: list[Any] = [
    ({"n": 2}, "n"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
    ({"tools": []}, "tools"),
    ({"logprobs": True}, "logprobs"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"messages": task(task="generate_questions", gaps=[])}, "messages"),
    ({"model": None}, "model"),
]


@pytest.mark.parametrize(("change", "param"), WRONG_CHATS, ids=str)
async def test_wrong_chat_is_refused_with_the_parameter(
    simulator: Simulator, change: Any, param: str | None
) -> None:
    body = {"model": CHAT, "messages": HELLO} | change

    answer = await simulator.http.post("/v1/chat/completions", json=body)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param or (param is None and error["param"].startswith("messages[0]"))
    assert error["message"]


WRONG_EMBEDDINGS: list[Any] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": [""]}, "input[0]"),
    ({"input": ["a", 7]}, "input"),
    ({"input": [[199_999]]}, "input[0][0]"),
    ({"input": [-1]}, "input[0]"),
    ({"input": O200K.encode("𓀀")[:1]}, "input"),
    ({"input": ["a"] * 251}, "input"),
    ({"input": "word " * 3_000}, "input"),
    ({"dimensions": 769}, "dimensions"),
    ({"encoding_format": "hex"}, "encoding_format"),
    ({"tone": "kind"}, "tone"),
]


@pytest.mark.parametrize(("change", "param"), WRONG_EMBEDDINGS, ids=lambda value: str(value)[:40])
async def test_wrong_embeddings_are_refused_with_the_parameter(
    simulator: Simulator, change: Any, param: str
) -> None:
    body = {"model": EMBEDDINGS, "input": "text"} | change

    answer = await simulator.http.post("/v1/embeddings", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"\\ud800"', b"null"])
async def test_what_is_no_request_is_refused(simulator: Simulator, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        answer = await simulator.http.post(path, content=body)

        assert answer.status_code == 400
        assert answer.json()["error"]["message"]


async def test_large_body_is_refused_and_a_compressed_one_is_read(simulator: Simulator) -> None:
    body = orjson.dumps({"model": CHAT, "messages": HELLO})
    large = await simulator.http.post("/v1/chat/completions", content=b" " * (2 * 2**20 + 1))
    packed = await simulator.http.post(
        "/v1/chat/completions",
        content=zlib.compress(body),
        headers={"Content-Encoding": "deflate"},
    )

    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    assert packed.status_code == 200


async def test_addresses_and_methods_that_are_none_are_told_in_the_api_s_own_way(
    simulator: Simulator,
) -> None:
    unknown = await simulator.http.get("/v1/fine_tuning/jobs")
    wrong = await simulator.http.get("/v1/embeddings")

    assert (unknown.status_code, wrong.status_code) == (404, 405)
    assert unknown.json()["error"]["type"] == "invalid_request_error"
    assert wrong.headers["allow"] == "POST"


async def test_many_clients_at_once_get_each_their_own_answer(simulator: Simulator) -> None:
    def asking(skill: str) -> Any:
        gap = {"id": skill, "skill": skill, "priority": "LOW"}
        return task(task="generate_questions", gaps=[gap])

    skills = [f"skill {number}" for number in range(100)]
    answers = await asyncio.gather(
        *(
            simulator.api.chat.completions.create(model=CHAT, messages=asking(skill))
            for skill in skills
        )
    )

    contents = [orjson.loads(answer.choices[0].message.content or "") for answer in answers]
    assert [content["questions"][0]["id"] for content in contents] == skills
