"""Request bodies of ``/v1``: decoded strictly, refused in OpenAI's words."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from llm_simulator.domain.catalogue import MODELS, Kind, Model
from llm_simulator.wire.errors import ApiError, bad_value

_Body = TypeVar("_Body")

# msgspec ends its messages with the place: "... - at `$.messages[0].role`".
_PLACE = re.compile(r" - at `(?P<path>[^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `(?P<field>[^`]*)`")


def decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    """Return the decoded body; raises ``ApiError`` that names the parameter."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_value(
            f"We could not parse the JSON body of your request: {error}", None
        ) from None


def _refusal(text: str) -> ApiError:
    place = _PLACE.search(text)
    reason = text if place is None else text[: place.start()]
    path = "" if place is None else place["path"].removeprefix("$").removeprefix(".")
    field = _FIELD.search(reason)
    if field is None:
        return bad_value(f"Invalid value for '{path or 'body'}': {reason}", path or None)
    param = f"{path}.{field['field']}" if path else field["field"]
    if "unknown" in reason:
        return bad_value(f"Unrecognized request argument: {param}", param, "unknown_parameter")
    return bad_value(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def model_of(name: str, kind: Kind) -> Model:
    """Return the model; raises ``ApiError`` with the known ones if there is none of that kind."""
    model = MODELS.get(name)
    if model is not None and model.kind == kind:
        return model
    known = ", ".join(sorted(model.name for model in MODELS.values() if model.kind == kind))
    raise ApiError(
        404,
        f"The model '{name[:100]}' does not exist for {kind}; known are {known}.",
        param="model",
        code="model_not_found",
    )


def key_of(content: Any) -> int:
    """Return a digest of what was asked, the same for equal content only."""
    return int.from_bytes(blake2b(msgspec.json.encode(content), digest_size=8).digest(), "big")
