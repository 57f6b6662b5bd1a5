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
    imports,
    reports,
    segments,
    stale,
    stream,
)


def routes(documentation: Sequence[Route]) -> list[Route]:
    """Return the routes for one process; ``documentation`` are those of the contract and its page."""
    return [
        *documentation,
        *stream.routes,
        *reports.routes,
        # Before those of flags, which take any word for a flag's key.
        *segments.routes,
        *environments.routes,
        *change_requests.routes,
        *history.routes,
        *stale.routes,
        *imports.routes,
        *evaluate.routes,
        *actions.routes,
        # Its addresses take any name.
        *flags.routes,
    ]
