"""How many there can be of what people make."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from alerts_svc.wire.channels import MAX_CHANNELS
from alerts_svc.wire.rules import MAX_RULES
from alerts_svc.wire.silences import MAX_SILENCES
from tests.alerts_svc.api import Api, running_api
from tests.fixtures.servers import RunningPostgres

SILENCE = {"matchers": ['operation="none"'], "minutes": 60, "created_by": "Ada"}
CONDITION = {
    "type": "threshold",
    "measure": "performance.duration_ms",
    "aggregation": "avg",
    "window_seconds": 300,
    "comparison": ">",
    "warning": 1000,
}
_RULES = """
    INSERT INTO alerts.rules (name, version, origin, definition)
    SELECT 'Many' || n, 1, 'user', jsonb_set(definition, '{enabled}', 'false')
    FROM generate_series(1, $1::int) AS n, (SELECT * FROM alerts.rules LIMIT 1) AS one
"""
_CHANNELS = """
    INSERT INTO alerts.channels (name, version, kind, settings, enabled)
    SELECT 'many' || n, 1, 'webhook', '{"url": "https://example.com"}', false
    FROM generate_series(1, $1::int) AS n
"""
_SILENCES = """
    INSERT INTO alerts.silences (id, starts_at, ends_at, content)
    SELECT 'many' || n, starts_at, ends_at, content
    FROM generate_series(1, $1::int) AS n, (SELECT * FROM alerts.silences LIMIT 1) AS one
"""


@pytest_asyncio.fixture(scope="module")
async def filled(running_postgres: RunningPostgres, metrics_url: str) -> AsyncGenerator[Api]:
    """Run a service that has as many of everything as there can be, less one of each."""
    database = await running_postgres.new_alerts_database("alerts_api_limits")
    async with running_api(database, metrics_url) as api:
        made = await api.client.post("/api/alerts/silences", json=SILENCE)
        assert made.status_code == 201, made.text
        connection = await asyncpg.connect(database)
        try:
            rules = await connection.fetchval("SELECT count(*) FROM alerts.rules")
            await connection.execute(_RULES, MAX_RULES - rules - 1)
            await connection.execute(_CHANNELS, MAX_CHANNELS - 2)
            await connection.execute(_SILENCES, MAX_SILENCES - 2)
        finally:
            await connection.close()
        yield api


@pytest.mark.parametrize(
    ("path", "last", "first_too_many"),
    [
        (
            "/api/alerts/rules",
            {"name": "Last", "group": "g", "condition": CONDITION},
            {"name": "TooMany", "group": "g", "condition": CONDITION},
        ),
        (
            "/api/alerts/channels",
            {"name": "last", "kind": "webhook", "settings": {"url": "https://example.com/a"}},
            {"name": "more", "kind": "webhook", "settings": {"url": "https://example.com/b"}},
        ),
        ("/api/alerts/silences", SILENCE, SILENCE),
    ],
    ids=["rules", "channels", "silences"],
)
async def test_there_is_an_end_to_what_can_be_made(
    filled: Api, path: str, last: dict[str, Any], first_too_many: dict[str, Any]
) -> None:
    fits = await filled.client.post(path, json=last)
    over = await filled.client.post(path, json=first_too_many)

    assert fits.status_code == 201, fits.text
    assert over.status_code == 409
    assert "no more are possible" in over.json()["detail"]


async def test_alertmanager_s_silences_count_too_and_one_that_ends_makes_room(
    filled: Api,
) -> None:
    posted = {
        "matchers": [{"name": "operation", "value": "none", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z",
        "createdBy": "Ada",
        "comment": "",
    }
    while (await filled.client.post("/api/alerts/silences", json=SILENCE)).is_success:
        continue

    over = await filled.client.post("/api/v2/silences", json=posted)
    listed = await filled.get("/api/alerts/silences", state="active")
    await filled.client.delete(f"/api/alerts/silences/{listed['silences'][0]['id']}")
    fits = await filled.client.post("/api/v2/silences", json=posted)

    assert over.status_code == 400
    assert "no more are possible" in over.json()
    assert fits.status_code == 200, fits.text
