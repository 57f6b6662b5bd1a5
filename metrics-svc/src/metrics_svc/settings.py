"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
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
    port: int = 8001
    auth: Literal["off"] = "off"
    log_format: Literal["json", "console"] = "json"
    log_level: str = "info"
    database_pool_size: int = 8
    redis_url: str = field(default="", repr=False)
    probes: str = field(default="", repr=False)
    probe_interval_seconds: float = 10.0
    max_body_bytes: int = 8 * 2**20
    max_decompressed_bytes: int = 32 * 2**20
    max_otlp_body_bytes: int = 20 * 2**20
    max_events_per_batch: int = 5_000
    max_queued_events: int = 50_000
    max_event_age_seconds: float = 7 * 86_400.0
    max_event_ahead_seconds: float = 300.0
    new_series_per_hour: int = 5_000
    raw_retention_days: int = 30
    columnstore_after_days: int = 8
    rollup_10s_retention_days: int = 3
    rollup_1m_retention_days: int = 35
    rollup_10m_retention_days: int = 100
    rollup_1h_retention_days: int = 400

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises ``SettingsError`` that names the variable and what it allows."""
        # An address may hold a password.
        given = read(env, _CONVERT, variable_of, secret={"database_url", "redis_url"})
        if "database_url" not in given:
            raise SettingsError(
                "METRICS_DATABASE_URL is not set; give it a PostgreSQL address, for example"
                " postgresql://windsock:secret@127.0.0.1:5432/windsock"
            )
        settings = cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.
        _check_retention(settings)
        return settings


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    return "WINDSOCK_AUTH" if name == "auth" else f"METRICS_{name.upper()}"


def _check_retention(settings: Settings) -> None:
    # A window is answered from the coarsest rows that fit in it, so these must stay as long as finer ones.
    kept = (
        ("rollup_10s_retention_days", settings.rollup_10s_retention_days),
        ("rollup_1m_retention_days", settings.rollup_1m_retention_days),
        ("rollup_10m_retention_days", settings.rollup_10m_retention_days),
        ("rollup_1h_retention_days", settings.rollup_1h_retention_days),
    )
    for (finer, least), (coarser, days) in pairwise(kept):
        if days < least:
            raise SettingsError(
                f"{variable_of(coarser)}={days} is wrong: it must be at least"
                f" {variable_of(finer)}, which is {least}"
            )


_redis = address("redis", "rediss", "unix")


def _optional_redis(value: str) -> str:
    return _redis(value) if value else ""


# Folding waits for one while both lanes of the ingest hold theirs, and making a series takes another.
_POOL_SIZE = whole(4)
_CONVERT: dict[str, Convert] = {
    **SERVING,
    "database_url": address("postgresql", "postgres"),
    "database_pool_size": _POOL_SIZE,
    "redis_url": _optional_redis,
    "probes": str,
    "probe_interval_seconds": seconds,
    "max_body_bytes": COUNT,
    "max_decompressed_bytes": COUNT,
    "max_otlp_body_bytes": COUNT,
    "max_events_per_batch": COUNT,
    "max_queued_events": COUNT,
    "max_event_age_seconds": seconds,
    "max_event_ahead_seconds": seconds,
    "new_series_per_hour": COUNT,
    "raw_retention_days": COUNT,
    "columnstore_after_days": COUNT,
    "rollup_10s_retention_days": COUNT,
    "rollup_1m_retention_days": COUNT,
    "rollup_10m_retention_days": COUNT,
    "rollup_1h_retention_days": COUNT,
}
