from __future__ import annotations

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from llm_simulator import tokens
from llm_simulator.answers.composer import Composer, Prompt, Reply
from llm_simulator.answers.task import Gap, GenerateQuestions
from llm_simulator.domain.catalogue import MODELS

EXP = MODELS["gemini-2.0-flash-exp"]
QUESTION = [("user", "Which database suits a small company?")]
TASK = GenerateQuestions([Gap("g1", "Kubernetes", "HIGH")])


def reply(
    messages: Any = QUESTION, *, seed: int = 1, max_tokens: int = 1_000, stop: Any = (), **how: Any
) -> Reply:
    return Composer(seed).reply(
        Prompt(how.pop("model", EXP), messages, **how), max_tokens=max_tokens, stop=stop
    )


def test_plain_question_gets_plain_text_about_it() -> None:
    answer = reply()

    assert answer.text.startswith("About database and company: ")
    assert answer.tokens == tokens.count(answer.text)
    assert 30 < answer.tokens < 120
    assert answer.finish_reason == "stop"


def test_answer_depends_on_seed_model_and_content() -> None:
    lite = MODELS["gemini-2.0-flash-lite"]
    texts = [
        reply().text,
        reply(seed=2).text,
        reply(model=lite).text,
        reply([("system", "Be brief."), *QUESTION]).text,
    ]

    assert len(set(texts)) == 4
    assert reply() == reply()


def test_answer_ends_after_as_many_tokens_as_it_may_have() -> None:
    whole = reply(task=TASK)
    cut = reply(task=TASK, max_tokens=20)

    assert (cut.tokens, cut.finish_reason) == (20, "length")
    assert whole.text.startswith(cut.text)
    assert tokens.count(cut.text) == 20
    assert reply(task=TASK, max_tokens=whole.tokens) == whole


def test_answer_ends_before_a_stop_text() -> None:
    whole = reply().text

    cut = reply(stop=["no such text", ": ", "."])

    assert cut.text == whole[: whole.index(": ")]
    assert cut.tokens == tokens.count(cut.text)
    assert cut.finish_reason == "stop"


def test_json_is_given_where_it_is_wanted() -> None:
    assert list(orjson.loads(reply(wants_json=True).text)) == ["answer"]


SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "mood": {"enum": ["good", "bad"]},
        "fixed": {"const": 7},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "done": {"type": "boolean"},
        "nothing": {"type": "null"},
        "maybe": {"type": ["string", "null"]},
        "either": {"anyOf": [{"$ref": "#/$defs/part"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2},
        "few": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
    },
    "$defs": {
        "part": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schema_is_followed(seed: int) -> None:
    schema = SCHEMA | {"required": list(SCHEMA["properties"])}  # type: ignore[call-overload]

    value = orjson.loads(reply(seed=seed, wants_json=True, schema=schema).text)

    assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []


def test_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    assert reply(wants_json=True, schema=schema).tokens < 200


def test_odd_schema_gives_some_value() -> None:
    schema = {"type": "object", "properties": {"a": True, "b": {"$ref": "#/nowhere"}, "c": {}}}

    assert list(orjson.loads(reply(wants_json=True, schema=schema).text)) == ["a", "b", "c"]


def test_task_goes_before_the_schema() -> None:
    answer = orjson.loads(reply(task=TASK, wants_json=True, schema=SCHEMA).text)

    assert list(answer) == ["questions"]
