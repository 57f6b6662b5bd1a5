"""All routes below ``/api/alerts``, in the order in which they must be tried."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route

from alerts_svc.routes import (
    alerts,
    changes,
    channels,
    configuration,
    deliveries,
    links,
    rules,
    silences,
    summary,
    trials,
)


def routes(documentation: Sequence[Route]) -> list[Route]:
    """Return the routes for one process; ``documentation`` are those of the contract and its page."""
    return [
        *documentation,
        # Before the rules, one of which may be called test.
        *trials.routes(),
        *rules.routes,
        *silences.routes,
        *channels.routes(),
        *configuration.routes,
        *deliveries.routes,
        *changes.routes,
        *links.routes,
        *summary.routes,
        # Their addresses take any name.
        *alerts.routes,
    ]
