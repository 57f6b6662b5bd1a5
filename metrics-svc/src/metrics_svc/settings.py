"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Self


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
        given: dict[str, object] = {}
        for name, convert in _CONVERT.items():
            variable = variable_of(name)
            text = env.get(variable)
            if text is None:
                continue
            try:
                given[name] = convert(text)
            except ValueError as error:
                # An address may hold a password.
                shown = variable if name == "database_url" else f"{variable}={text!r}"
                raise SettingsError(f"{shown} is wrong: {error}") from None
        if "database_url" not in given:
            raise SettingsError(
                "METRICS_DATABASE_URL is not set; give it a PostgreSQL address, for example"
                " postgresql://windsock:secret@127.0.0.1:5432/windsock"
            )
        settings = cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.
        _check_retention(settings)
        return settings


class SettingsError(ValueError):
    """A setting is missing or wrong; the message says which and what to do."""


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


def _text(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _database_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must start with postgresql://")
    return text


def _any(text: str) -> str:
    return text


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65_536:
        raise ValueError("it must be a port from 1 to 65535")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("it must be a whole number from 1 on")
    return value


def _pool_size(text: str) -> int:
    # Folding waits for one while both lanes of the ingest hold theirs, and making a series takes another.
    value = int(text)
    if value < 4:
        raise ValueError("it must be a whole number from 4 on")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("it must be a number of seconds above 0")
    return value


def _one_of(*allowed: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"it must be one of {', '.join(allowed)}")
        return text

    return convert


_CONVERT: dict[str, Callable[[str], object]] = {
    "database_url": _database_url,
    "host": _text,
    "port": _port,
    "auth": _one_of("off"),
    "log_format": _one_of("json", "console"),
    "log_level": _one_of("debug", "info", "warning", "error"),
    "database_pool_size": _pool_size,
    "probes": _any,
    "probe_interval_seconds": _seconds,
    "max_body_bytes": _count,
    "max_decompressed_bytes": _count,
    "max_otlp_body_bytes": _count,
    "max_events_per_batch": _count,
    "max_queued_events": _count,
    "max_event_age_seconds": _seconds,
    "max_event_ahead_seconds": _seconds,
    "new_series_per_hour": _count,
    "raw_retention_days": _count,
    "columnstore_after_days": _count,
    "rollup_10s_retention_days": _count,
    "rollup_1m_retention_days": _count,
    "rollup_10m_retention_days": _count,
    "rollup_1h_retention_days": _count,
}
