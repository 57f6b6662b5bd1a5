"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
import re
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
    port: int = 8003
    auth: Literal["off"] = "off"
    log_format: Literal["json", "console"] = "json"
    log_level: str = "info"
    database_pool_size: int = 4
    redis_url: str = field(default="", repr=False)
    alerts_url: str = ""
    default_environment: str = "production"
    reconcile_seconds: float = 5.0
    state_dir: str = ""
    cors_origins: str = ""
    stream_token_seconds: float = 3600.0
    max_streams: int = 5_000
    max_body_bytes: int = 2**20

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises ``SettingsError`` that names the variable and what it allows."""
        # An address may hold a password.
        given = read(env, _CONVERT, variable_of, secret={"database_url", "redis_url"})
        if "database_url" not in given:
            raise SettingsError(
                "FLAGS_DATABASE_URL is not set; give it a PostgreSQL address, for example"
                " postgresql://windsock:secret@127.0.0.1:5432/windsock"
            )
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    return "WINDSOCK_AUTH" if name == "auth" else f"FLAGS_{name.upper()}"


# As environments are called in domain.names, which a setting knows nothing of.
_ENVIRONMENT = "[a-z][a-z0-9_-]{0,62}"
_http = address("http", "https")
_redis = address("redis", "rediss", "unix")


def _optional_http(value: str) -> str:
    return _http(value).rstrip("/") if value else ""


def _optional_redis(value: str) -> str:
    return _redis(value) if value else ""


def _environment(value: str) -> str:
    if not re.fullmatch(_ENVIRONMENT, value.strip()):
        raise ValueError(f"it must be the name of an environment, {_ENVIRONMENT}")
    return value.strip()


_CONVERT: dict[str, Convert] = {
    **SERVING,
    "database_url": address("postgresql", "postgres"),
    "database_pool_size": whole(2),
    "redis_url": _optional_redis,
    "alerts_url": _optional_http,
    "default_environment": _environment,
    "reconcile_seconds": seconds,
    "state_dir": str,
    "cors_origins": str,
    "stream_token_seconds": seconds,
    "max_streams": COUNT,
    "max_body_bytes": COUNT,
}
