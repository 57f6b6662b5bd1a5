from __future__ import annotations

from typing import Any

import pytest

from alerts_svc.app import REAL
from alerts_svc.store.rules import Rules
from tests.alerts_svc import services
from tests.alerts_svc.services import console_lines, rule, runs, send_events


async def test_a_breach_is_told_on_the_console_within_seconds(
    alerts_url: str,
    pool: Any,
    metrics_url: str,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await Rules(pool).create(rule("SliceSlow", "slice"))
    settings = {"redis_url": redis_url, "evaluation_gap_seconds": 0.2}

    async with services.alerts_service(alerts_url, metrics_url, REAL, **settings):
        await send_events(metrics_url, runs("slice", 9_000))
        lines = await console_lines(capsys, "SliceSlow")

    assert lines[0]["status"] == "firing"
    assert lines[0]["severity"] == "critical"
    assert lines[0]["alerts"][0]["labels"]["operation"] == "slice"
