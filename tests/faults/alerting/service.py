"""alerts-svc as a process that a test may kill, pause and start again, on a port that stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.forked import ForkedService

# Short, so that what takes its time in earnest does not in a test.
QUICK: Mapping[str, str] = {
    "ALERTS_EVALUATION_INTERVAL_SECONDS": "0.5",
    "ALERTS_EVALUATION_GAP_SECONDS": "0.1",
    "ALERTS_LEASE_SECONDS": "2",
    "ALERTS_METRICS_TIMEOUT_SECONDS": "2",
    "ALERTS_IMPAIRED_AFTER_SECONDS": "3",
    "ALERTS_ALLOWED_TARGETS": "127.0.0.1",
    "ALERTS_LOG_FORMAT": "json",
    "WINDSOCK_AUTH": "off",
}
# For tests on a machine so busy that metrics-svc may not answer in time, which is not what they are about.
PATIENT: Mapping[str, str] = {
    "ALERTS_METRICS_TIMEOUT_SECONDS": "10",
    "ALERTS_IMPAIRED_AFTER_SECONDS": "60",
}


class AlertsService(ForkedService):
    """One process at a time; ``settings`` are variables of the environment, over those of ``QUICK``."""

    def __init__(
        self, database_url: str, folder: Path, *, metrics_url: str, **settings: str
    ) -> None:
        super().__init__("alerts-svc", folder)
        self.settings = dict(settings)
        self._database_url = database_url
        self._metrics_url = metrics_url
        self._folder = folder

    async def start(self, *, crash: str | None = None, ready: bool = True) -> None:
        """Start the process and wait until it is ready, or if not ``ready`` until it answers at all.

        ``crash`` is a place where it kills itself, such as ``ledger.commit:after:1`` (see ``crashing``); dead is as
        good as ready then.
        """
        environment = {
            **QUICK,
            "ALERTS_DATABASE_URL": self._database_url,
            "ALERTS_METRICS_URL": self._metrics_url,
            "ALERTS_PORT": str(self.port),
            "ALERTS_STATE_DIR": str(self._folder / f"state-{self.port}"),
            **self.settings,
            "CRASH_AT": crash or "",
        }
        mined = crash is not None
        self.begin(
            "tests.faults.alerting.crashing" if mined else "alerts_svc.__main__", environment
        )
        await self.answering("/readyz" if ready else "/livez", mortal=mined)

    async def set_rule(self, rule: Mapping[str, Any]) -> None:
        """Make a rule."""
        await self.call("POST", "/api/alerts/rules", rule)

    async def set_webhook(self, name: str, url: str) -> str:
        """Make a channel of the kind ``webhook`` and return its secret."""
        body = {"name": name, "kind": "webhook", "settings": {"url": url}}
        made = await self.call("POST", "/api/alerts/channels", body)
        secret: str = made["secret"]
        return secret


def rule(name: str, *, warning: float = 5.0, **changes: object) -> dict[str, Any]:
    """Return a rule on ``performance.errors`` by operation that fires at once, with what is changed of it."""
    return {
        "name": name,
        "group": "tests",
        "condition": {
            "type": "threshold",
            "measure": "performance.errors",
            "aggregation": "ratio",
            "denominator": "performance.count",
            "window_seconds": 60,
            "group_by": ["operation"],
            "comparison": ">",
            "warning": warning,
            "scale": 100.0,
        },
        "min_samples": 10,
        "unit": "percent",
        "annotations": {"summary": "{operation} fails"},
        **changes,
    }
