"""Entity tags: a change may say which version it is a change of, and is refused when that is no longer the one."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from windsock_kit.errors import InvalidError, ServiceError

# A gateway that compresses makes a tag weak; it names the same version.
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class PreconditionFailedError(ServiceError):
    """It is no longer the version that was to be changed: somebody else has changed it since."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"


def changed_since(what: str, version: int) -> PreconditionFailedError:
    """Return the error for something that is at another version than expected."""
    return PreconditionFailedError(f"{what} is at version {version} now; read it again")


def etag(version: int) -> Mapping[str, str]:
    """Return the header that names a version."""
    return {"ETag": f'"{version}"'}


def expected_version(if_match: str | None) -> int | None:
    """Return the version that ``If-Match`` names, ``None`` if any will do.

    Raises ``PreconditionFailedError`` for a tag that no version ever has.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    match = _TAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidError(
            "If-Match must be one entity tag, as it was answered",
            path="If-Match",
            allowed=['an ETag, such as "1"', "*"],
        )
    if not _VERSION.fullmatch(match[1]):
        raise PreconditionFailedError(f"no version is called {match[0][:50]}; read it again")
    return int(match[1])


def at_hand(if_none_match: str | None, tag: str) -> bool:
    """Return whether ``If-None-Match`` names ``tag``; weak and strong ones are the same here (RFC 9110, section 13.1.2)."""
    if if_none_match is None:
        return False
    given = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in given or tag.removeprefix("W/") in given
