"""All routes below ``/api/feature-flags``, in the order in which they must be tried."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route

from flags_svc.routes import (
    actions,
    change_requests,
    environments,
    evaluate,
    flags,
    history,
    segments,
    stale,
    stream,
)


def routes(documentation: Sequence[Route]) -> list[Route]:
    """Return the routes for one process; ``documentation`` are those of the contract and its page."""
    return [
        *documentation,
        *stream.routes,
        *change_requests.routes,
        *history.routes,
        *stale.routes,
        *evaluate.routes,
        *segments.routes,
        *environments.routes,
        *actions.routes,
        # Its addresses take any name.
        *flags.routes,
    ]
