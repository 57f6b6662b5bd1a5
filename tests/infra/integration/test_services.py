"""The embedded stack with the services themselves."""

from __future__ import annotations

import gzip
import json
import subprocess
import uuid
from typing import Any

import httpx
import pytest

from tests.fixtures.servers import in_memory, server_folder
from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded.processes import wait_until

ENDPOINTS = ("dashboard", "performance", "costs", "quality", "cache", "health")


def _ask(stack: EmbeddedStack, endpoint: str) -> Any:
    answer = httpx.get(f"{stack.gateway}/api/metrics/{endpoint}")
    return answer.raise_for_status().json()


def _dashboard(stack: EmbeddedStack) -> int:
    answer = httpx.get(f"{stack.gateway}/api/metrics/dashboard", params={"time_window_minutes": 60})
    count: int = answer.raise_for_status().json()["performance"]["all_operations"]["count"]
    return count


def test_events_sent_through_the_gateway_are_there_after_down_and_up() -> None:
    with server_folder(in_memory()) as folder:
        stack = EmbeddedStack(folder, launcher="windsock_embedded")
        try:
            stack.up()
            event = {"type": "performance", "operation": "chat", "duration_ms": 12.5}
            batch = {"batch_id": str(uuid.uuid4()), "events": [event]}

            sent = httpx.post(
                f"{stack.gateway}/api/metrics/events",
                content=gzip.compress(json.dumps(batch).encode()),
                headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
            )
            before = _dashboard(stack)
            migrated = stack.run("migrate")
            stack.run("down")
            stack.up()

            assert sent.json() == {"accepted": 1, "duplicate": False, "rejected": []}
            assert (before, _dashboard(stack)) == (1, 1)
            assert migrated.stdout == "metrics: up to date\nalerts: up to date\nflags: up to date\n"
        finally:
            stack.run("down")


WATCHED = ("postgresql", "redis", "llm-simulator", "adaptive-questions")


def _shows_life(stack: EmbeddedStack) -> bool:
    seen = {endpoint: _ask(stack, endpoint) for endpoint in ENDPOINTS}
    operations = {row["operation"] for row in seen["performance"]["operations"]}
    watched = {part["target"]: part["status"] for part in seen["health"]["components"]}
    return (
        seen["dashboard"]["performance"]["all_operations"]["count"] > 0
        and {"start", "finalize"} <= operations
        and seen["costs"]["total_cost_usd"] > 0
        and seen["quality"]["scored"] > 0
        and seen["cache"]["hits"] + seen["cache"]["misses"] > 0
        and watched == dict.fromkeys(WATCHED, "up")
    )


@pytest.mark.slow
def test_within_a_minute_of_up_all_six_endpoints_show_the_demo_s_life() -> None:
    with server_folder(in_memory()) as folder:
        stack = EmbeddedStack(folder, launcher="windsock_embedded", demo=True)
        try:
            up = stack.up()
            alive = wait_until(lambda: _shows_life(stack), 60)
            said = next(line for line in up.stdout.splitlines() if "  a question " in line)
            question = subprocess.run(
                ["sh", "-c", said.replace("a question", "", 1)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

            assert alive, {endpoint: _ask(stack, endpoint) for endpoint in ENDPOINTS}
            assert _ask(stack, "costs")["unpriced"] == []
            assert _ask(stack, "health")["status"] == "healthy"
            assert json.loads(question.stdout)["status"] == "ok"
        finally:
            stack.run("down")
        assert stack.left() == []
