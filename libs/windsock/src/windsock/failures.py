"""Errors as the fields of an event, made without raising."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from windsock.ambient import Ambient
from windsock.fields import MAX_NAME, MAX_TEXT, Cleaner

# What ended a tracked block, and where.
Failure = tuple[BaseException | None, TracebackType | None]


def described(error: object) -> dict[str, object]:
    """Return the fields of whatever was recorded as an error."""
    if isinstance(error, BaseException):
        return error_fields(error, error.__traceback__)
    return {"error_type": "error", "error_message": error}


def block_failed(elapsed_ns: int, failure: Failure, ambient: Ambient | None) -> dict[str, object]:
    """Return the fields of a tracked block that ``failure`` ended."""
    error, trace = failure
    assert error is not None
    fields = error_fields(error, trace)
    attributes = ambient.attributes if ambient is not None else {}
    context = {**fields.pop("error_context"), **attributes}
    return {"duration_ms": elapsed_ns / 1e6, "status": "error", **fields, "error_context": context}


def error_fields(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    """Return type, message, place and cause of ``error``, without raising."""
    clean = Cleaner()
    context = {}
    if trace is not None:
        for frame, line in traceback.walk_tb(trace):
            context["where"] = f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        context["cause"] = f"{type(cause).__name__}: {clean.text(cause, MAX_NAME)}"
    return {
        "error_type": type(error).__name__,
        "error_message": clean.text(error, MAX_TEXT),
        "error_context": context,
    }
