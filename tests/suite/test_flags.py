"""A flag that is changed while applications run: they behave differently, and on-call reads of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded.processes import wait_until

FLAG = "new_ui_dashboard"
SECONDS = 40
ASKED = {
    "gap": {"skill": "Terraform", "priority": "LOW"},
    "parsed_cv": {"skills": ["Docker"]},
    "parsed_jd": {"title": "Platform engineer"},
}


@pytest.fixture
def flag(suite: EmbeddedStack) -> Iterator[str]:
    """Give the address of a flag of the demo, which is afterwards what it was before."""
    address = f"{suite.gateway}/api/feature-flags/{FLAG}"
    before = httpx.get(address, timeout=SECONDS).raise_for_status().json()
    yield address
    httpx.post(f"{address}/revert/{before['version']}", timeout=SECONDS).raise_for_status()


def _has_cards(suite: EmbeddedStack) -> bool:
    answer = httpx.post(
        f"{suite.gateway}/api/adaptive-questions/generate",
        json=ASKED,
        headers={"X-User-ID": "u-1"},
        timeout=SECONDS,
    )
    return "cards" in answer.raise_for_status().json()


def _comes_to_have_cards(suite: EmbeddedStack, flag: str, percentage: int) -> bool:
    body = {"percentage": percentage, "environment": "production"}
    changed = httpx.post(f"{flag}/rollout", json=body, timeout=SECONDS).raise_for_status().json()
    assert changed["environments"]["production"]["enabled"]
    return wait_until(lambda: _has_cards(suite) is bool(percentage), SECONDS)


def test_a_change_is_in_force_in_the_application_that_runs(suite: EmbeddedStack, flag: str) -> None:
    assert _comes_to_have_cards(suite, flag, 100)
    assert _comes_to_have_cards(suite, flag, 0)


def test_every_process_tells_that_it_has_a_change(suite: EmbeddedStack, flag: str) -> None:
    body = {"environment": "production"}
    disabled = httpx.post(f"{flag}/disable", json=body, timeout=SECONDS).raise_for_status()
    revision = disabled.json()["revision"]
    told: dict[str, Any] = {}

    def everywhere() -> bool:
        address = f"{suite.gateway}/api/feature-flags/propagation"
        told.update(httpx.get(address, timeout=SECONDS).raise_for_status().json())
        at = {each["name"]: each["revision"] for each in told["instances"]}
        running = [name for name in at if "flags-svc" in name or "adaptive_questions" in name]
        return len(running) == 2 and min(at[name] for name in running) >= revision

    assert wait_until(everywhere, SECONDS), told


def test_on_call_reads_what_was_changed_before_the_trouble(suite: EmbeddedStack, flag: str) -> None:
    log = suite.folder / "logs" / "alerts-svc.log"
    who = {"X-Windsock-Actor": "Ada", "X-Windsock-Comment": "too many clicks"}

    body = {"environment": "production"}
    httpx.post(f"{flag}/disable", json=body, headers=who, timeout=SECONDS).raise_for_status()
    known = wait_until(lambda: "Ada" in _changes(suite).get(FLAG, ""), SECONDS)
    posted = [{"labels": {"alertname": "ClicksGone", "severity": "critical"}}]
    address = f"{suite.gateway}/api/v2/alerts"
    httpx.post(address, json=posted, timeout=SECONDS).raise_for_status()
    told = wait_until(lambda: any(map(_tells_of_the_flag, log.read_text().splitlines())), SECONDS)

    assert known, _changes(suite)
    assert told


def _changes(suite: EmbeddedStack) -> dict[str, str]:
    """Return who changed which flag last."""
    answer = httpx.get(f"{suite.gateway}/api/alerts/changes", timeout=SECONDS)
    found = answer.raise_for_status().json()["changes"]
    return {each["name"]: each["author"] for each in reversed(found) if each["kind"] == "flag"}


def _tells_of_the_flag(line: str) -> bool:
    if "ClicksGone" not in line:
        return False
    changes = json.loads(line).get("changes", [])
    return any(
        FLAG in each["name"] and "too many clicks" in each["description"] for each in changes
    )
