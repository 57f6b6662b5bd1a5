"""The embedded stack with the services themselves."""

from __future__ import annotations

import gzip
import json
import uuid

import httpx

from tests.fixtures.servers import server_folder
from tests.fixtures.stacks import EmbeddedStack


def _dashboard(stack: EmbeddedStack) -> int:
    answer = httpx.get(f"{stack.gateway}/api/metrics/dashboard", params={"time_window_minutes": 60})
    count: int = answer.raise_for_status().json()["performance"]["all_operations"]["count"]
    return count


def test_events_sent_through_the_gateway_are_there_after_down_and_up() -> None:
    with server_folder() as folder:
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
            assert migrated.stdout == "metrics: up to date\n"
        finally:
            stack.run("down")
