"""What OFREP 0.3 says of answers, as JSON Schema; stricter where clients are stricter than the text.

https://github.com/open-feature/protocol
"""

from __future__ import annotations

from typing import Any

import jsonschema

_METADATA = {
    "type": "object",
    "additionalProperties": {"type": ["boolean", "string", "number"]},
}
_KEY = {"type": "string", "minLength": 1}
_DETAILS = {"type": "string", "minLength": 1}

_SUCCESS = {"key": _KEY, "variant": {"type": "string"}, "metadata": _METADATA}
WITH_VALUE = {
    "type": "object",
    "required": ["key", "reason", "variant", "value"],
    "additionalProperties": False,
    "properties": {
        **_SUCCESS,
        "reason": {"enum": ["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]},
        "value": {"type": ["boolean", "string", "number", "object"]},
    },
}
# The caller's default, by a reason that the list does not have, but the clients do.
WITHOUT_VALUE = {
    "type": "object",
    "required": ["key", "reason", "variant"],
    "additionalProperties": False,
    "properties": {
        **_SUCCESS,
        "reason": {"enum": ["DEFAULT", "DISABLED"]},
        "variant": {"const": ""},
    },
}
FAILURE = {
    "type": "object",
    "required": ["key", "errorCode", "errorDetails"],
    "additionalProperties": False,
    "properties": {
        "key": _KEY,
        "errorCode": {
            "enum": ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL"]
        },
        "errorDetails": _DETAILS,
    },
}
NOT_FOUND = {
    **FAILURE,
    "properties": {"key": _KEY, "errorCode": {"const": "FLAG_NOT_FOUND"}, "errorDetails": _DETAILS},
}
BULK_FAILURE = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "additionalProperties": False,
    "properties": {"errorCode": {"type": "string"}, "errorDetails": _DETAILS},
}
_STREAM = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"const": "sse"},
        "url": {"type": "string", "format": "uri"},
        "endpoint": {
            "type": "object",
            "required": ["requestUri"],
            "additionalProperties": False,
            "properties": {
                "requestUri": {"type": "string", "pattern": "^/"},
                "origin": {"type": "string"},
            },
        },
        "inactivityDelaySec": {"type": "integer", "minimum": 1},
    },
    "oneOf": [{"required": ["url"]}, {"required": ["endpoint"]}],
    "additionalProperties": False,
}
BULK = {
    "type": "object",
    "required": ["flags"],
    "additionalProperties": False,
    "properties": {
        "flags": {"type": "array", "items": {"oneOf": [WITH_VALUE, WITHOUT_VALUE, FAILURE]}},
        "metadata": _METADATA,
        "eventStreams": {"type": "array", "items": _STREAM},
    },
}
EVENT = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string"},
        "etag": {"type": "string"},
        "lastModified": {"type": ["string", "integer"]},
    },
}


def check_one(status: int, answer: Any) -> None:
    """Raise if this is no answer about one flag."""
    schemas: dict[int, Any] = {
        200: {"oneOf": [WITH_VALUE, WITHOUT_VALUE]},
        404: NOT_FOUND,
    }
    jsonschema.validate(answer, schemas.get(status, FAILURE))


def check_all(status: int, answer: Any) -> None:
    """Raise if this is no answer about all flags."""
    jsonschema.validate(answer, BULK if status == 200 else BULK_FAILURE)


def check_event(data: Any) -> None:
    """Raise if this is no event's data."""
    jsonschema.validate(data, EVENT)
