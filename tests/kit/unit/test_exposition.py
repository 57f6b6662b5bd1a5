import httpx
import pytest
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.routing import Route

from windsock_kit.exposition import make_registry, metrics_endpoint
from windsock_kit.testing import running


async def scrape(accept: str) -> httpx.Response:
    registry = make_registry()
    Counter("events", "Events taken.", registry=registry).inc(3)
    app = Starlette(routes=[Route("/metrics", metrics_endpoint(registry))])
    async with running(app) as client:
        return await client.get("/metrics", headers={"Accept": accept})


async def test_plain_scrape_gets_prometheus_text() -> None:
    response = await scrape("*/*")

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "events_total 3.0\n" in response.text
    assert "# EOF" not in response.text


async def test_openmetrics_is_given_when_asked_for() -> None:
    response = await scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")

    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "name", ["process_resident_memory_bytes", "python_info", "python_gc_collections_total"]
)
async def test_process_metrics_are_there(name: str) -> None:
    assert name in (await scrape("*/*")).text


def test_registries_do_not_share_metrics() -> None:
    first, second = make_registry(), make_registry()
    Counter("events", "Events taken.", registry=first).inc()

    assert second.get_sample_value("events_total") is None
