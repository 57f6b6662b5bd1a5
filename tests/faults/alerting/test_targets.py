"""Receivers that point inside: refused when they are saved, and again whenever something would be sent there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from tests.alerts_svc.receivers import Reply, WebhookReceiver, running
from tests.faults.alerting.service import AlertsService
from tests.faults.alerting.telling import eventually

AlertsFor = Callable[..., AlertsService]
CHANNELS = "/api/alerts/channels"
# Public, and never called: what is sent to it is refused for another reason, or not sent at all.
OUTSIDE = "93.184.216.34"

INSIDE = {
    "loopback": "http://127.0.0.1:{port}/",
    "all of loopback": "http://127.8.8.8:{port}/",
    "localhost": "http://localhost:{port}/",
    "below localhost": "http://api.localhost:{port}/",
    "this host": "http://0.0.0.0:{port}/",
    "private": "http://10.0.0.1/",
    "carrier": "http://100.64.0.1/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "ipv6 loopback": "http://[::1]:{port}/",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/",
    "mapped, in hexadecimal": "http://[::ffff:7f00:1]:{port}/",
    "nat64": "http://[64:ff9b::7f00:1]:{port}/",
    "6to4": "http://[2002:7f00:1::]:{port}/",
    "multicast": "http://224.0.0.1/",
    "unique local": "http://[fd00::1]/",
    "decimal": "http://2130706433:{port}/",
    "octal": "http://0177.0.0.1:{port}/",
    "hexadecimal": "http://0x7f.1:{port}/",
    "short": "http://127.1:{port}/",
    "other digits": "http://①②⑦.⓪.⓪.①:{port}/",
    "user": "http://hooks.test@127.0.0.1:{port}/",
    "user without a name": "http://@127.0.0.1:{port}/",
    "backslash": "http://hooks.test\\@127.0.0.1:{port}/",
    "line break": "http://hooks.test/\r\nHost: 127.0.0.1",
    "ssh": f"http://{OUTSIDE}:22/",
    "postgresql": f"http://{OUTSIDE}:5432/",
    "redis": f"http://{OUTSIDE}:6379/",
    "port 0": f"http://{OUTSIDE}:0/",
    "ftp": f"ftp://{OUTSIDE}/",
    "file": "file:///etc/passwd",
    "gopher": f"gopher://{OUTSIDE}:80/_x",
    "no scheme": f"//{OUTSIDE}/",
    "name": "http://inside.test/",
}


@asynccontextmanager
async def listening(
    host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[tuple[int, list[Any]]]:
    """Give a port inside, and those who have connected to it."""
    callers: list[Any] = []

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(called, host, port)
    try:
        yield server.sockets[0].getsockname()[1], callers
    finally:
        server.close()


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Give the file of names that the service resolves."""
    file = tmp_path / "names"
    file.write_text("inside.test 127.0.0.1\n")
    return file


async def test_target_inside_is_refused_when_it_is_saved(
    alerts_url: str, alerts_for: AlertsFor, names: Path
) -> None:
    """Fault 19: however it is written."""
    service = alerts_for(alerts_url, ALERTS_ALLOWED_TARGETS="", RESOLVE_FROM=str(names))
    await service.start()

    taken = {}
    async with httpx.AsyncClient(base_url=service.url) as client:
        for kind in ("webhook", "slack", "heartbeat"):
            for name, url in INSIDE.items():
                body = {"name": "x", "kind": kind, "settings": {"url": url.format(port=8080)}}
                answer = await client.post(CHANNELS, json=body)
                if answer.status_code != 422 or answer.json()["path"] != "settings.url":
                    taken[kind, name] = answer.text
        for host in ("127.0.0.1", "inside.test", "[::1]", "2130706433", "localhost"):
            mail: dict[str, Any] = {
                "host": host,
                "sender": "a@windsock.test",
                "recipients": ["b@windsock.test"],
            }
            mailing = {"name": "x", "kind": "email", "settings": mail}
            answer = await client.post(CHANNELS, json=mailing)
            if answer.status_code != 422 or answer.json()["path"] != "settings.host":
                taken["email", host] = answer.text
        left = (await client.get(CHANNELS)).json()["channels"]

    assert taken == {}
    assert [channel["name"] for channel in left] == ["console"]


async def test_target_inside_is_refused_when_it_would_be_called(
    alerts_url: str, alerts_for: AlertsFor, names: Path
) -> None:
    """Fault 19: whatever stands in the store, nobody is called, and the console says why."""
    service = alerts_for(alerts_url, ALERTS_ALLOWED_TARGETS="", RESOLVE_FROM=str(names))
    async with listening() as (port, callers):
        await _stored(alerts_url, {name: url.format(port=port) for name, url in INSIDE.items()})
        await service.start()
        await service.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Posted"}}])
        await eventually(lambda: len(_notices(service)) == len(INSIDE), "all are refused")

    assert callers == []
    assert [one for one in _notices(service) if ": target refused: " not in one] == []


async def _stored(database_url: str, targets: dict[str, str]) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.executemany(
            "INSERT INTO alerts.channels (name, version, kind, settings, enabled)"
            " VALUES ($1, 1, 'webhook', $2, true)",
            [(name, orjson.dumps({"url": url}).decode()) for name, url in targets.items()],
        )
    finally:
        await connection.close()


def _notices(service: AlertsService) -> list[str]:
    """Return what the console tells of messages that could not be delivered elsewhere."""
    return [line["notice"] for line in service.said("alert") if "notice" in line]


async def test_name_that_moves_inside_after_it_was_saved_is_not_called(
    alerts_url: str, alerts_for: AlertsFor, names: Path
) -> None:
    """Fault 19: a name that was outside when it was checked."""
    names.write_text(f"hooks.test {OUTSIDE}\n")
    service = alerts_for(alerts_url, ALERTS_ALLOWED_TARGETS="", RESOLVE_FROM=str(names))
    await service.start()
    async with listening() as (port, callers):
        await service.set_webhook("hook", f"http://hooks.test:{port}/")
        names.write_text("hooks.test 127.0.0.1\n")
        tried = await service.call("POST", f"{CHANNELS}/hook/test")
        await service.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Posted"}}])
        await eventually(lambda: len(_notices(service)) == 1, "the page is told elsewhere")

    assert callers == []
    assert (tried["outcome"], tried["status"]) == ("refused", None)
    assert "hooks.test is at 127.0.0.1 (this machine)" in _notices(service)[0]


async def test_name_that_changes_with_each_question_leads_nowhere_else(
    alerts_url: str, alerts_for: AlertsFor, names: Path
) -> None:
    """Fault 19: what was checked is what is called, though the next answer to the same question is another one."""
    async with (
        running(WebhookReceiver()) as receiver,
        listening("127.0.0.2", receiver.port) as (port, callers),
    ):
        names.write_text("hooks.test 127.0.0.1 127.0.0.2\n")
        allowed = f"127.0.0.1:{port}"
        service = alerts_for(alerts_url, ALERTS_ALLOWED_TARGETS=allowed, RESOLVE_FROM=str(names))
        await service.start()
        await service.set_webhook("hook", f"http://hooks.test:{port}/")
        tried = [await service.call("POST", f"{CHANNELS}/hook/test") for _ in range(3)]

    assert callers == []
    # Saving asked once; since then every other answer was the inner one.
    assert [one["outcome"] for one in tried] == ["refused", "sent", "refused"]
    assert [one.headers["host"] for one in receiver.received] == [f"hooks.test:{port}"]


async def test_redirect_is_not_followed(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    """Fault 19: a receiver that may be called cannot send the service anywhere else."""
    service = alerts_for(alerts_url, ALERTS_ALLOWED_TARGETS=f"127.0.0.1:{webhook.port}")
    await service.start()
    async with listening() as (port, callers):
        await service.set_webhook("hook", webhook.url)
        answers = [
            Reply(status, {"Location": f"http://127.0.0.1:{port}/", "Refresh": f"0; url={port}"})
            for status in (301, 302, 303, 307, 308)
        ]
        webhook.standing = answers[1]
        tried = await service.call("POST", f"{CHANNELS}/hook/test")
        for number, answer in enumerate(answers):
            webhook.replies.append(answer)
            labels = {"alertname": f"Posted{number}"}
            await service.call("POST", "/api/v2/alerts", [{"labels": labels}])
        await eventually(lambda: len(_notices(service)) >= len(answers), "the console tells all")

    assert callers == []
    assert (tried["outcome"], tried["status"]) == ("refused", 302)
    assert {one.path for one in webhook.received} == {"/hook"}
    assert all("redirects are not followed" in one for one in _notices(service))
