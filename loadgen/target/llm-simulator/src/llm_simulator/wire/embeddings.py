"""``POST /v1/embeddings`` on the wire."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from llm_simulator import tokens
from llm_simulator.domain.catalogue import Model
from llm_simulator.embedding.embedder import DIMENSIONS
from llm_simulator.wire.errors import bad_value
from llm_simulator.wire.reading import decode, key_of, model_of

# What the embeddings of Vertex AI take at once.
MAX_INPUTS = 250

_Text = Annotated[str, Meta(min_length=1)]
# The vocabulary has no ordinary token from here on.
_TokenId = Annotated[int, Meta(ge=0, lt=199_998)]
_Tokens = Annotated[list[_TokenId], Meta(min_length=1)]
_Many = Annotated[list[_Text | _Tokens | _TokenId], Meta(min_length=1, max_length=100_000)]


class EmbeddingsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: str
    input: _Text | _Many
    dimensions: Annotated[int, Meta(ge=1, le=DIMENSIONS)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """Texts to place."""

    model: Model
    key: int
    texts: tuple[str, ...]
    dimensions: int
    is_base64: bool


_decoder = msgspec.json.Decoder(EmbeddingsBody)


def parse(body: bytes) -> EmbeddingsRequest:
    """Decode a request; raises ``ApiError``."""
    asked = decode(_decoder, body)
    model = model_of(asked.model, "embeddings")
    texts = _texts(asked.input)
    if len(texts) > MAX_INPUTS:
        raise bad_value(f"At most {MAX_INPUTS} inputs are taken at once.", "input")
    return EmbeddingsRequest(
        model,
        key_of([asked.model, asked.input, asked.dimensions]),
        texts,
        asked.dimensions or DIMENSIONS,
        asked.encoding_format == "base64",
    )


def _texts(given: str | Sequence[str | list[int] | int]) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if any(isinstance(item, int) for item in given):
        ids = [item for item in given if isinstance(item, int)]
        if len(ids) < len(given):
            raise bad_value("Texts and token ids cannot be mixed.", "input")
        return (_decoded(ids, "input"),)
    return tuple(
        item if isinstance(item, str) else _decoded(item, f"input[{index}]")
        for index, item in enumerate(given)
        if not isinstance(item, int)
    )


def _decoded(ids: list[int], param: str) -> str:
    text = tokens.decode(ids)
    if not text:
        raise bad_value(f"The token ids of '{param}' make no text of {tokens.NAME}.", param)
    return text


def answer(
    asked: EmbeddingsRequest, vectors: Sequence[NDArray[np.float32]], input_tokens: int
) -> dict[str, Any]:
    """Return the answer; numpy arrays are rendered as lists."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if asked.is_base64 else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "model": asked.model.name,
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
    }


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
