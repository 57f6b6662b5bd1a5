"""What is wrong with JSON that strangers send, told with its place."""

from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from windsock_kit.errors import BadRequestError, InvalidError

_anything = msgspec.json.Decoder(msgspec.Raw)


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split msgspec's message into detail and path: ``Expected `int` - at `$.events[3].score```."""
    detail, _, place = str(error).partition(" - at `")
    # A wrong key of a mapping is told as: key` in `$.flags
    path = place.rpartition(" in `")[2].rstrip("`").removeprefix("$").removeprefix(".")
    if "missing required field `" in detail or "unknown field `" in detail:
        path = (path + "." if path else "") + detail.split("`")[1]
    return detail, path


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
        if not body.strip():
            raise BadRequestError("the body is not JSON: it is empty") from None
        raise BadRequestError(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise BadRequestError("the body is nested too deeply") from None
