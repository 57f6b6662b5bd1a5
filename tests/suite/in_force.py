"""Waits until the running application has the flags as they were changed last; people take longer to type."""

from __future__ import annotations

import sys

import httpx

from windsock_embedded.processes import wait_until

SECONDS = 40


def in_force(gateway: str) -> bool:
    """Return whether the application has said that it lacks no change."""
    answer = httpx.get(f"{gateway}/api/feature-flags/propagation", timeout=SECONDS)
    instances = answer.raise_for_status().json()["instances"]
    behind = [each["behind"] for each in instances if "adaptive_questions" in each["name"]]
    return behind == [0]


if __name__ == "__main__":
    wait_until(lambda: in_force(sys.argv[1]), SECONDS)
