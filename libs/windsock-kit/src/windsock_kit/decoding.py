"""What is wrong with JSON that strangers send, told with its place."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from windsock_kit.errors import BadRequestError, InvalidError

# Half a surrogate pair, and before it what only looks like one.
_HALF = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_anything = msgspec.json.Decoder(msgspec.Raw)


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split msgspec's message into detail and path: ``Expected `int` - at `$.events[3].score```."""
    detail, _, place = str(error).partition(" - at `")
    # A wrong key of a mapping is told as: key` in `$.flags
    path = place.rpartition(" in `")[2].rstrip("`").removeprefix("$").removeprefix(".")
    if "missing required field `" in detail or "unknown field `" in detail:
        path = (path + "." if path else "") + detail.split("`")[1]
    return detail, path


def _complaint(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "it is empty"
    told = str(error)
    # The decoder takes what is missing of a pair for the end of the text.
    if "surrogate" in told or "truncated" in told:
        half = next((found[1] for found in _HALF.finditer(body) if found[1]), None)
        if half is not None:
            return f"{half.decode()} is half a surrogate pair, and no character"
    return told


@contextmanager
def reading_json(body: bytes) -> Generator[None]:
    """Turn what is wrong with ``body`` inside the block into its answer.

    That is ``BadRequestError`` for what is no JSON, or nested too deeply, and ``InvalidError``
    with the path for what is not as expected.
    """
    try:
        try:
            yield
        except msgspec.ValidationError as error:
            # The decoder stops at the first wrong value, and what follows may be no JSON at all.
            _anything.decode(body)
            detail, path = located(error)
            raise InvalidError(detail, path=path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"the body is not JSON: {_complaint(body, error)}") from None
    except RecursionError:
        raise BadRequestError("the body is nested too deeply") from None
