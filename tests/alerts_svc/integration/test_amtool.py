"""Alertmanager's own tool, and a real Prometheus, against the service as it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alerts_svc.app import create_app
from alerts_svc.settings import Settings
from tests.faults.alerting.scripted_metrics import scripted_metrics
from tests.faults.service import until
from tests.fixtures import debian
from tests.fixtures.servers import RunningPostgres
from windsock_embedded import ports
from windsock_kit.testing import serving


def obtained(name: str, package: str) -> Path:
    """Return a program of Debian's, or skip."""
    try:
        return debian.program(name, package)
    except debian.NotObtainableError as error:
        pytest.skip(f"{name} is not tried: {error}")


@pytest_asyncio.fixture(scope="module")
async def service(running_postgres: RunningPostgres) -> AsyncGenerator[str]:
    """Give the address of a service that has nothing to fire by itself."""
    database_url = await running_postgres.new_alerts_database("amtool")
    async with scripted_metrics() as metrics:
        settings = Settings(
            database_url=database_url,
            metrics_url=metrics.url,
            evaluation_interval_seconds=0.5,
            lease_seconds=2.0,
        )
        async with serving(create_app(settings)) as url:
            yield url


@dataclass(frozen=True)
class Amtool:
    """The tool as people call it."""

    program: Path
    url: str

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.program), f"--alertmanager.url={self.url}", *arguments]
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=20, check=False
        )

    async def said(self, *arguments: str) -> str:
        """Return what it prints; it must succeed."""
        done = await self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    async def alerts(self, *arguments: str) -> Any:
        return json.loads(await self.said("alert", "query", "-o", "json", *arguments))

    async def silences(self, *arguments: str) -> Any:
        return json.loads(await self.said("silence", "query", "-o", "json", *arguments))

    async def add(self, name: str, *labels: str) -> None:
        """Add an alert and wait until it fires."""
        await self.said("alert", "add", f"alertname={name}", *labels)
        asked = [label for label in labels if not label.startswith("--")]

        async def fires() -> bool:
            return bool(await self.alerts("-a", "-s", "-i", f"alertname={name}", *asked))

        await until(fires, f"{name} fires", seconds=10)


@pytest.fixture(scope="module")
def amtool(service: str) -> Amtool:
    return Amtool(obtained("amtool", "prometheus-alertmanager"), service)


async def test_an_alert_is_added_and_queried(amtool: Amtool) -> None:
    await amtool.add(
        "Added", "node=a|b", "severity=critical", "--annotation=summary=it is", "--generator-url=g"
    )

    (found,) = await amtool.alerts("alertname=~Add.*", "node!=c")
    assert found["labels"] == {"alertname": "Added", "node": "a|b", "severity": "critical"}
    assert found["annotations"] == {"summary": "it is"}
    assert found["generatorURL"] == "g"
    assert found["status"]["state"] == "active"
    assert {"name": "console"} in found["receivers"]
    assert await amtool.alerts("alertname=Added", "node=c") == []
    assert "Added" in await amtool.said("alert", "query", "-o", "extended", "--receiver=con.*")
    assert await amtool.alerts("--receiver=con") == []


async def test_an_alert_that_has_ended_is_no_more(amtool: Amtool) -> None:
    await amtool.add("Ending")

    await amtool.said(
        *("alert", "add", "alertname=Ending"),
        *("--start=2020-01-01T00:00:00Z", "--end=2020-01-01T00:00:01Z"),
    )
    # That one ended before this one began, so it is of another time.
    assert await amtool.alerts("alertname=Ending")
    async with httpx.AsyncClient(base_url=amtool.url) as client:
        answer = await client.post(
            "/api/v2/alerts",
            json=[{"labels": {"alertname": "Ending"}, "endsAt": _at(await amtool.alerts(), 1)}],
        )

    async def over() -> bool:
        return not await amtool.alerts("alertname=Ending")

    assert answer.status_code == 200
    await until(over, "the alert is over", seconds=10)


def _at(alerts: Any, milliseconds: int) -> str:
    """Return a moment shortly after the last of the alerts began."""
    last = max(datetime.fromisoformat(alert["startsAt"]) for alert in alerts)
    return (last + timedelta(milliseconds=milliseconds)).isoformat()


async def test_a_silence_is_added_holds_back_is_changed_and_ends(amtool: Amtool) -> None:
    await amtool.add("Noisy", "node=n1")

    number = await amtool.said(
        *("silence", "add", "-a", "ann", "-c", "at work", "-d", "1h"), "alertname=Noisy"
    )
    (silence,) = await amtool.silences("alertname=Noisy")
    (held,) = await amtool.alerts("-s", "alertname=Noisy")
    open_now = await amtool.alerts("alertname=Noisy")
    changed = await amtool.said("silence", "update", "-c", "longer", "-d", "2h", number)
    (after,) = await amtool.silences("alertname=Noisy")
    await amtool.said("silence", "expire", number)

    assert silence["id"] == number
    assert (silence["createdBy"], silence["comment"]) == ("ann", "at work")
    assert silence["status"] == {"state": "active"}
    assert held["status"]["silencedBy"] == [number]
    assert held["status"]["state"] == "suppressed"
    assert open_now == []
    assert number in changed
    assert (after["id"], after["comment"]) == (number, "longer")
    assert await amtool.silences("alertname=Noisy") == []
    (ended,) = await amtool.silences("--expired", "alertname=Noisy")
    assert ended["status"] == {"state": "expired"}
    assert len(await amtool.alerts("alertname=Noisy")) == 1


async def test_silences_travel_from_a_file(amtool: Amtool, tmp_path: Path) -> None:
    await amtool.said("silence", "add", "-a", "ann", "-c", "x", "-d", "1h", "alertname=~File.*")
    before = await amtool.silences("alertname=~File.*")
    file = tmp_path / "silences.json"
    file.write_text(json.dumps(before))

    await amtool.said("silence", "import", str(file))

    assert [each["id"] for each in await amtool.silences("alertname=~File.*")] == [before[0]["id"]]


async def test_a_silence_that_is_not_there_is_an_error(amtool: Amtool) -> None:
    done = await amtool.run("silence", "expire", "0c62e62a-5ba9-4b91-9dc9-0a1d25b1f1b7")

    assert done.returncode == 1
    assert "404" in done.stderr


async def test_the_configuration_is_read_and_tried(amtool: Amtool) -> None:
    shown = yaml.safe_load(await amtool.said("config", "show"))
    routed = await amtool.said("config", "routes", "test", "alertname=Any", "severity=critical")

    assert shown["route"]["receiver"] == "console"
    assert shown["inhibit_rules"]
    assert routed == "console"


async def test_it_is_a_cluster_of_one(amtool: Amtool) -> None:
    assert "ready" in await amtool.said("cluster", "show")


async def test_what_is_refused_is_told_as_alertmanager_does(service: str) -> None:
    async with httpx.AsyncClient(base_url=service) as client:
        alerts = await client.post(
            "/api/v2/alerts", json=[{"labels": {"alertname": "Kept"}}, {"labels": {}}]
        )
        silence = await client.post("/api/v2/silences", json={"matchers": []})
        unknown = await client.get("/api/v2/silence/none")
        word = await client.get("/api/v2/alerts", params={"active": "perhaps"})
        method = await client.put("/api/v2/alerts")
        kept = await client.get("/api/v2/alerts", params={"filter": 'alertname="Kept"'})

    assert alerts.status_code == 400
    assert alerts.json().startswith("1 of 2 alerts are refused, the others are stored: [1].labels")
    assert (silence.status_code, type(silence.json())) == (400, str)
    assert unknown.status_code == 404
    assert word.json() == "active: 'perhaps' is neither true nor false"
    assert method.status_code == 405
    assert set(method.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert kept.status_code == 200


async def test_groups_are_listed_by_receiver(amtool: Amtool) -> None:
    await amtool.add("Grouped", "node=1")
    await amtool.add("Grouped", "node=2")

    async with httpx.AsyncClient(base_url=amtool.url) as client:
        answer = await client.get("/api/v2/alerts/groups", params={"filter": "alertname=Grouped"})

    (group,) = answer.json()
    assert group["labels"] == {"alertname": "Grouped"}
    assert group["receiver"] == {"name": "console"}
    assert [alert["labels"]["node"] for alert in group["alerts"]] in (["1", "2"], ["2", "1"])


class Scraped:
    """Something to scrape, with one value."""

    def __init__(self) -> None:
        self.value = 0

    async def metrics(self, _: Request) -> Response:
        return PlainTextResponse(f"queue_length {self.value}\n")


RULES = """
groups:
  - name: queue
    rules:
      - alert: QueueTooLong
        expr: queue_length > 5
        labels: {severity: critical}
        annotations: {summary: "{{ $value }} wait"}
"""


@pytest_asyncio.fixture
async def scraped(service: str, tmp_path: Path) -> AsyncGenerator[Scraped]:
    """Give what a real Prometheus scrapes that sends its alerts to the service."""
    program = obtained("prometheus", "prometheus")
    made = Scraped()
    async with serving(Starlette(routes=[Route("/metrics", made.metrics)])) as target:
        quick = {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "500ms",
        }
        configuration = {
            "global": quick,
            "rule_files": ["rules.yaml"],
            "scrape_configs": [_targets("queue", target) | {"job_name": "queue"}],
            "alerting": {"alertmanagers": [_targets("windsock", service)]},
        }
        (tmp_path / "rules.yaml").write_text(RULES)
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    str(program),
                    f"--config.file={tmp_path / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{ports.free_port()}",
                    # Else what a busy machine did not take in time is sent again after a minute only.
                    "--rules.alert.resend-delay=1s",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield made
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


def _targets(name: str, url: str) -> dict[str, Any]:
    return {"static_configs": [{"targets": [url.removeprefix("http://")], "labels": {"of": name}}]}


async def test_a_rule_of_prometheus_fires_and_resolves_here(service: str, scraped: Scraped) -> None:
    async with httpx.AsyncClient(base_url=service) as client:

        async def found() -> Any:
            asked = {"filter": "alertname=QueueTooLong"}
            return (await client.get("/api/v2/alerts", params=asked)).json()

        async def fires() -> bool:
            return bool(await found())

        async def over() -> bool:
            return not await found()

        scraped.value = 7
        await until(fires, "Prometheus' alert is here", seconds=50)
        (alert,) = await found()
        scraped.value = 0
        await until(over, "its end is here", seconds=50)

    assert alert["labels"]["severity"] == "critical"
    assert alert["labels"]["job"] == "queue"
    assert alert["annotations"] == {"summary": "7 wait"}
    assert alert["generatorURL"].startswith("http")
