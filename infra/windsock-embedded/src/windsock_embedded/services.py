"""The services of the suite as data: what to start, on which port, and what it is told."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """A service to run.

    ``environment`` may name ``{database_url}``, ``{redis_url}`` and ``{port}``;
    what the user has set already wins, addresses apart. ``schema`` is its schema
    and role in PostgreSQL, ``package`` holds its ``migrations``.
    """

    name: str
    port: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    package: str | None = None

    def migrations(self) -> Path | None:
        """Locate the migrations without importing the service."""
        spec = importlib.util.find_spec(self.package) if self.package else None
        if spec is None or spec.origin is None:
            return None
        return Path(spec.origin).parent / "migrations"

    def variables(
        self, facts: Mapping[str, object], inherited: Mapping[str, str]
    ) -> dict[str, str]:
        own = {name: text.format_map(facts) for name, text in self.environment.items()}
        fixed = {name for name in own if name.endswith(("_HOST", "_PORT", "_DATABASE_URL"))}
        kept = {name: text for name, text in inherited.items() if name not in fixed}
        return {**own, **kept}


SERVICES = (
    Service(
        name="metrics-svc",
        port="metrics",
        command=(sys.executable, "-m", "metrics_svc"),
        schema="metrics",
        package="metrics_svc",
        environment={
            "METRICS_DATABASE_URL": "{database_url}",
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": "{port}",
            "METRICS_PROBES": "redis={redis_url}",
            "METRICS_LOG_FORMAT": "json",
            "WINDSOCK_AUTH": "off",
        },
    ),
)
