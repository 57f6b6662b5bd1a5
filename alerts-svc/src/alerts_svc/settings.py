"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from windsock_kit.environment import (
    COUNT,
    SERVING,
    Convert,
    SettingsError,
    address,
    read,
    seconds,
    whole,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with their defaults. Every field has an environment variable, listed in the README."""

    database_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8002
    auth: Literal["off"] = "off"
    log_format: Literal["json", "console"] = "json"
    log_level: str = "info"
    database_pool_size: int = 6
    metrics_url: str = "http://127.0.0.1:8001"
    metrics_timeout_seconds: float = 5.0
    redis_url: str = field(default="", repr=False)
    evaluation_interval_seconds: float = 5.0
    evaluation_gap_seconds: float = 1.0
    lease_seconds: float = 8.0
    impaired_after_seconds: float = 15.0
    external_url: str = "http://127.0.0.1:8000"
    allowed_targets: str = ""
    state_dir: str = ""
    evaluation_retention_hours: int = 24
    history_retention_days: int = 90
    max_body_bytes: int = 2 * 2**20

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises ``SettingsError`` that names the variable and what it allows."""
        # An address may hold a password.
        given = read(env, _CONVERT, variable_of, secret={"database_url", "redis_url"})
        if "database_url" not in given:
            raise SettingsError(
                "ALERTS_DATABASE_URL is not set; give it a PostgreSQL address, for example"
                " postgresql://windsock:secret@127.0.0.1:5432/windsock"
            )
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    return "WINDSOCK_AUTH" if name == "auth" else f"ALERTS_{name.upper()}"


def _lease(value: str) -> float:
    # Under two seconds a slow commit of the store would be enough to lose it.
    duration = seconds(value)
    if duration < 2:
        raise ValueError("it must be at least 2 seconds")
    return duration


_http = address("http", "https")
_redis = address("redis", "rediss", "unix")


def _base(value: str) -> str:
    return _http(value).rstrip("/")


def _optional_redis(value: str) -> str:
    return _redis(value) if value else ""


# One renews the lease and one listens while an evaluation, a delivery and requests use others.
_POOL_SIZE = whole(4)
_CONVERT: dict[str, Convert] = {
    **SERVING,
    "database_url": address("postgresql", "postgres"),
    "database_pool_size": _POOL_SIZE,
    "metrics_url": _base,
    "metrics_timeout_seconds": seconds,
    "redis_url": _optional_redis,
    "evaluation_interval_seconds": seconds,
    "evaluation_gap_seconds": seconds,
    "lease_seconds": _lease,
    "impaired_after_seconds": seconds,
    "external_url": _base,
    "allowed_targets": str,
    "state_dir": str,
    "evaluation_retention_hours": COUNT,
    "history_retention_days": COUNT,
    "max_body_bytes": COUNT,
}
