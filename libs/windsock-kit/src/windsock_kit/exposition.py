"""A service's own metrics, in Prometheus text or OpenMetrics."""

from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response


def make_registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process; one per application, none global."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def metrics_endpoint(
    registry: CollectorRegistry,
) -> Callable[[Request[Any]], Awaitable[Response]]:
    """Return a handler that writes ``registry`` in the format that Accept asks for."""

    async def metrics(request: Request[Any]) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return metrics
