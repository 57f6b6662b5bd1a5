from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from alerts_svc.ports import Refused, Retry
from tests.alerts_svc.api import Api, running_api
from tests.fixtures.servers import RunningPostgres

CHANNELS, CONFIGURATION = "/api/alerts/channels", "/api/alerts/configuration"
TARGET = "http://127.0.0.1:8888/hook"


@pytest_asyncio.fixture(scope="module")
async def database(running_postgres: RunningPostgres) -> str:
    return await running_postgres.new_alerts_database("alerts_api_channels")


@pytest_asyncio.fixture(scope="module")
async def api(database: str, metrics_url: str) -> AsyncGenerator[Api]:
    async with running_api(database, metrics_url) as found:
        yield found


@asynccontextmanager
async def somebody_in_between(api: Api, database: str, name: str) -> AsyncGenerator[None]:
    """Hold a channel, and change it as soon as somebody waits for it."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute(
                "UPDATE alerts.channels SET version = version + 1 WHERE name = $1", name
            )
            yield
            waiting = """
                SELECT count(*) FROM pg_locks
                WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
            """
            await api.until(lambda: connection.fetchval(waiting), bool)
    finally:
        await connection.close()


async def webhook(api: Api, name: str, **settings: Any) -> dict[str, Any]:
    given = {"name": name, "kind": "webhook", "settings": {"url": TARGET} | settings}
    answer = await api.client.post(CHANNELS, json=given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_secrets_go_in_and_never_come_out(api: Api) -> None:
    given = {
        "name": "mail",
        "kind": "email",
        "settings": {
            "host": "127.0.0.1",
            "port": 2525,
            "username": "alerts",
            "password": "very-secret",
            "sender": "alerts@example.com",
            "recipients": ["oncall@example.com"],
        },
    }
    made = await api.client.post(CHANNELS, json=given)
    read = await api.client.get(f"{CHANNELS}/mail")
    listed = await api.client.get(CHANNELS)

    assert read.json()["settings"]["password"] == {"set": True}
    assert read.json()["settings"]["host"] == "127.0.0.1"
    assert all("very-secret" not in answer.text for answer in (made, read, listed))


async def test_a_webhook_s_secret_is_shown_once(api: Api) -> None:
    made = await webhook(api, "once")
    given = await webhook(api, "given", secret=made["secret"])

    assert made["secret"].startswith("whsec_")
    assert "secret" not in given
    assert "secret" not in await api.get(f"{CHANNELS}/once")


async def test_a_rotation_shows_the_new_secret_and_keeps_the_old_for_a_day(api: Api) -> None:
    made = await webhook(api, "rotated")

    answer = await api.client.post(f"{CHANNELS}/rotated/rotate-secret")
    console = await api.client.post(f"{CHANNELS}/console/rotate-secret")

    body = answer.json()
    assert body["secret"] != made["secret"]
    assert body["settings"]["previous_secret"] == {"set": True}
    until = datetime.fromisoformat(body["settings"]["previous_until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
    assert body["version"] == 2
    assert console.status_code == 409


async def test_what_was_read_can_be_sent_back(api: Api) -> None:
    await webhook(api, "back", headers={"X-Team": "llm"})
    read = await api.client.get(f"{CHANNELS}/back")

    changed = await api.client.put(
        f"{CHANNELS}/back",
        json=read.json() | {"enabled": False},
        headers={"If-Match": read.headers["etag"]},
    )
    late = await api.client.put(
        f"{CHANNELS}/back", json=read.json(), headers={"If-Match": read.headers["etag"]}
    )

    assert changed.json()["settings"] == read.json()["settings"]
    assert (changed.json()["enabled"], changed.json()["version"]) == (False, 2)
    assert late.status_code == 412


async def test_a_rotated_channel_can_be_sent_back(api: Api) -> None:
    await webhook(api, "turned")
    await api.client.post(f"{CHANNELS}/turned/rotate-secret")
    read = await api.get(f"{CHANNELS}/turned")

    answer = await api.client.put(f"{CHANNELS}/turned", json=read)

    assert answer.status_code == 200, answer.text
    assert answer.json() == read | {"version": 3}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "", {}, 409),
        ("PUT", "", {"If-Match": '"1"'}, 412),
        ("POST", "/rotate-secret", {}, 409),
    ],
)
async def test_a_change_in_between_is_not_lost(
    api: Api, database: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    name = f"between-{method}-{status}".lower()
    await webhook(api, name)
    given = {"name": name, "kind": "webhook", "settings": {"url": TARGET}}

    async with somebody_in_between(api, database, name):
        asked = asyncio.create_task(
            api.client.request(method, f"{CHANNELS}/{name}{path}", json=given, headers=headers)
        )
    answer = await asked

    assert answer.status_code == status, answer.text


async def test_a_secret_does_not_move_to_another_address(api: Api) -> None:
    await webhook(api, "moving", headers={"Authorization": "Bearer secret"})

    moved = await api.client.put(
        f"{CHANNELS}/moving",
        json={
            "name": "moving",
            "kind": "webhook",
            "settings": {"url": "http://127.0.0.1:9999/", "headers": {"set": True}},
        },
    )

    assert moved.status_code == 422 or not moved.json()["settings"].get("headers", {}).get("set")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"kind": "fax"}, "kind"),
        ({"name": "a b"}, "name"),
        ({"more": 1}, "more"),
        ({"settings": {}}, "settings.url"),
        ({"settings": {"url": "ftp://example.com"}}, "settings.url"),
        ({"settings": {"url": "http://169.254.169.254/latest"}}, "settings.url"),
        ({"settings": {"url": "http://[::ffff:10.0.0.1]/"}}, "settings.url"),
        ({"settings": {"url": TARGET, "secret": "short"}}, "settings.secret"),
        ({"settings": {"url": TARGET, "colour": 1}}, "settings.colour"),
    ],
    ids=str,
)
async def test_a_wrong_channel_is_refused(api: Api, given: dict[str, Any], path: str) -> None:
    right = {"name": "wrong", "kind": "webhook", "settings": {"url": TARGET}}

    answer = await api.client.post(CHANNELS, json=right | given)

    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_the_console_stays(api: Api) -> None:
    console = await api.get(f"{CHANNELS}/console")

    off = await api.client.put(f"{CHANNELS}/console", json=console | {"enabled": False})
    gone = await api.client.delete(f"{CHANNELS}/console")
    second = await api.client.post(CHANNELS, json={"name": "second", "kind": "console"})

    assert [off.status_code, gone.status_code, second.status_code] == [409, 409, 409]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (None, "sent"),
        (Retry("no answer", unknown=True), "unknown"),
        (Retry("answered 503", 503, after=7.0), "failed"),
        (Refused("no_service", 404), "refused"),
    ],
    ids=["sent", "unknown", "failed", "refused"],
)
async def test_a_test_message_is_really_sent_and_told_of(
    api: Api, result: Any, outcome: str
) -> None:
    name = f"tested-{outcome}"
    await webhook(api, name)
    if result is not None:
        api.sent.results[name] = [result]

    answer = await api.client.post(f"{CHANNELS}/{name}/test")

    (message,) = (m for m in api.sent.tried if m.channel == name)
    assert (answer.status_code, answer.json()["outcome"]) == (200, outcome)
    assert answer.json()["delivered"] is (outcome == "sent")
    assert answer.json()["message_id"] == message.id
    assert message.reason == "test"


async def test_test_messages_are_sent_so_often_and_no_more(api: Api) -> None:
    await webhook(api, "often")

    answers = [await api.client.post(f"{CHANNELS}/often/test") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


async def test_the_configuration_names_channels_that_are_there(api: Api) -> None:
    await webhook(api, "routed")
    held = await api.client.get(CONFIGURATION)
    routes = [{"name": "all", "channels": ["routed"]}]

    wrong = await api.client.put(
        CONFIGURATION, json=held.json() | {"routes": [{"name": "a", "channels": ["none"]}]}
    )
    made = await api.client.put(
        CONFIGURATION,
        json=held.json() | {"routes": routes, "fallback": "routed"},
        headers={"If-Match": held.headers["etag"]},
    )
    late = await api.client.put(
        CONFIGURATION, json=held.json(), headers={"If-Match": held.headers["etag"]}
    )
    removed = await api.client.delete(f"{CHANNELS}/routed")
    await api.client.put(CONFIGURATION, json=held.json())
    free = await api.client.delete(f"{CHANNELS}/routed")

    assert (wrong.status_code, wrong.json()["path"]) == (422, "routes[0].channels[0]")
    assert "console" in wrong.json()["allowed"]
    assert (made.status_code, made.json()["version"]) == (200, held.json()["version"] + 1)
    assert (late.status_code, removed.status_code, free.status_code) == (412, 409, 204)


@pytest.mark.parametrize("depth", [*range(800, 1_000, 9), 10_000, 500_000])
async def test_what_is_nested_deeply_is_refused(api: Api, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    body = b'{"name": "deep", "kind": "webhook", "settings": {"url": ' + nested + b"}}"

    answer = await api.client.post(CHANNELS, content=body)

    assert answer.status_code in {400, 422}
