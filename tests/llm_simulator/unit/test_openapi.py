"""openapi.yaml beside the routes, what is decoded, the errors and the models, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from llm_simulator.answers.task import Task
from llm_simulator.embedding.embedder import DIMENSIONS
from llm_simulator.version import VERSION
from llm_simulator.wire.books import FaultsBody
from llm_simulator.wire.chat import ChatBody
from llm_simulator.wire.embeddings import MAX_INPUTS, EmbeddingsBody
from tests.fixtures.contract import Contract

CONTRACT = Contract(files("llm_simulator").joinpath("openapi.yaml").read_bytes())


def test_document_and_package_have_the_same_version() -> None:
    assert CONTRACT.document["info"]["version"] == VERSION


def test_every_example_is_valid() -> None:
    found = [
        (pointer, CONTRACT.errors(f"{pointer}/schema", example["value"]))
        for pointer, node in CONTRACT.nodes()
        for example in node.get("examples", {}).values()
    ]

    assert len(found) >= 8
    assert [(pointer, errors) for pointer, errors in found if errors] == []


def decoded(body: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the structs that a body is decoded into, with their JSON schemas."""
    _, components = msgspec.json.schema_components([body])
    yield from components.items()


# What is decoded, and under which name it is documented.
DOCUMENTED = {
    "ChatBody": "ChatRequest",
    "_Message": "Message",
    "_TextPart": "TextPart",
    "_ResponseFormat": "ResponseFormat",
    "_JsonSchema": "JsonSchemaFormat",
    "_StreamOptions": "StreamOptions",
}
STRUCTS = [
    *((DOCUMENTED[name], schema) for name, schema in decoded(ChatBody)),
    *(("EmbeddingsRequest", schema) for _, schema in decoded(EmbeddingsBody)),
    *(("NewFaults", schema) for _, schema in decoded(FaultsBody)),
]


@pytest.mark.parametrize(("name", "schema"), STRUCTS, ids=[name for name, _ in STRUCTS])
def test_body_is_documented_as_it_is_decoded(name: str, schema: dict[str, Any]) -> None:
    documented = CONTRACT.schema(name)

    assert documented["additionalProperties"] is schema["additionalProperties"] is False
    assert documented["properties"].keys() == schema["properties"].keys()
    assert set(documented.get("required", ())) == set(schema.get("required", ()))
    for field, theirs in schema["properties"].items():
        ours = CONTRACT.resolve(documented["properties"][field])
        assert bounds(ours) == bounds(theirs), field


def bounds(schema: dict[str, Any]) -> set[tuple[str, Any]]:
    """Return the bounds of a value, in whichever way its schema says them."""
    parts = [schema, *schema.get("anyOf", ())]
    return {(key, part[key]) for part in parts for key in BOUNDS & part.keys()}


BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    "minItems", "maxItems", "pattern",
}  # fmt: skip


def test_every_task_stands_in_the_description() -> None:
    text = CONTRACT.document["info"]["description"]
    tasks = [schema for name, schema in decoded(Task) if "task" in schema["properties"]]

    assert len(tasks) == 4
    for schema in tasks:
        (name,) = schema["properties"].pop("task")["enum"]
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert [field for field in schema["properties"] if f"`{field}`" not in line] == ["language"]


def test_every_code_is_explained() -> None:
    listed = CONTRACT.schema("Problem")["properties"]["code"]["enum"]
    text = CONTRACT.document["info"]["description"]

    assert [code for code in listed if f"| `{code}` |" not in text] == []


def test_bounds_of_embeddings_stand_in_words() -> None:
    text = CONTRACT.document["paths"]["/v1/embeddings"]["post"]["description"]

    assert f"At most {MAX_INPUTS} inputs" in text
    assert f"{DIMENSIONS} dimensions" in text
