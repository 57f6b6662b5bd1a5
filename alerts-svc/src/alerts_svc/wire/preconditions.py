"""Entity tags: a change may say which version it is a change of, and is refused when that is no longer the one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from alerts_svc.store.errors import PreconditionFailedError
from windsock_kit.errors import InvalidError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def etag(version: int) -> Mapping[str, str]:
    """Return the header that names a version."""
    return {"ETag": f'"{version}"'}


def expected_version(if_match: str | None) -> int | None:
    """Return the version that ``If-Match`` names, ``None`` if any will do.

    Raises ``PreconditionFailedError`` for a tag that no version ever has; a weak one never matches (RFC 9110, section 13.1.1).
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
    if match[1] or not _VERSION.fullmatch(match[2]):
        raise PreconditionFailedError(f"no version is called {match[0][:50]}; read it again")
    return int(match[2])
