"""Failures of the store that handlers pass on as they are."""

from __future__ import annotations

from http import HTTPStatus

from windsock_kit.errors import ServiceError


class PreconditionFailedError(ServiceError):
    """It is no longer the version that was to be changed: somebody else has changed it since."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"


def changed_since(what: str, version: int) -> PreconditionFailedError:
    """Return the error for something that is at another version than expected."""
    return PreconditionFailedError(f"{what} is at version {version} now; read it again")
