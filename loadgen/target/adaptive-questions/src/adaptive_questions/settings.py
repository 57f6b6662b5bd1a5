"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from windsock_kit.environment import (
    COUNT,
    SERVING,
    Convert,
    address,
    one_of,
    read,
    seconds,
    text,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with their defaults. Every field has an environment variable, listed in the README."""

    host: str = "127.0.0.1"
    port: int = 8010
    auth: Literal["off"] = "off"
    log_format: Literal["json", "console"] = "json"
    log_level: str = "info"
    max_requests: int = 512
    request_timeout_seconds: float = 60.0
    heartbeat_seconds: float = 15.0
    openai_base_url: str = "http://127.0.0.1:8011/v1"
    openai_api_key: str = field(default="simulated", repr=False)
    provider: str = "google"
    model: str | None = None
    embedding_model: str | None = None
    model_timeout_seconds: float = 30.0
    max_model_calls: int = 64
    redis_url: str | None = field(default=None, repr=False)
    qdrant_url: str | None = None
    qdrant_api_key: str | None = field(default=None, repr=False)
    l1_entries: int = 10_000
    l1_ttl_seconds: float = 300.0
    l2_ttl_seconds: float = 3600.0
    flags_source: Literal["file", "service", "redis"] = "file"
    flags_file: Path | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises ``SettingsError`` that names the variable and what it allows."""
        given = read(env, _CONVERT, variable_of, secret=_SECRET)
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


_VARIABLES = {
    "auth": "WINDSOCK_AUTH",
    "flags_source": "WINDSOCK_FLAGS_SOURCE",
    "flags_file": "WINDSOCK_FLAGS_FILE",
    "openai_base_url": "OPENAI_BASE_URL",
    "openai_api_key": "OPENAI_API_KEY",
    "qdrant_url": "QDRANT_URL",
    "qdrant_api_key": "QDRANT_API_KEY",
}
# An address may hold a password.
_SECRET = frozenset(
    {"openai_base_url", "openai_api_key", "redis_url", "qdrant_url", "qdrant_api_key"}
)


def variable_of(name: str) -> str:
    """Return the environment variable of a field; some are those that other programs know already."""
    return _VARIABLES.get(name) or f"QUESTIONS_{name.upper()}"


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable() and value.strip()):
        raise ValueError("it must be printable ASCII")
    return value


def _optional(convert: Callable[[str], str]) -> Callable[[str], str | None]:
    """Take the empty text for none: that is how compose files leave a variable out."""
    return lambda value: convert(value) if value else None


def _path(value: str) -> Path | None:
    return Path(value).expanduser() if value else None


_named_source = one_of("file", "service", "redis")


def _source(value: str) -> str:
    return _named_source(value) if value else "file"


_CONVERT: dict[str, Convert] = {
    **SERVING,
    "max_requests": COUNT,
    "request_timeout_seconds": seconds,
    "heartbeat_seconds": seconds,
    "openai_base_url": address("http", "https"),
    "openai_api_key": _header,
    "provider": text,
    "model": _optional(text),
    "embedding_model": _optional(text),
    "model_timeout_seconds": seconds,
    "max_model_calls": COUNT,
    "redis_url": _optional(address("redis", "rediss", "unix")),
    "qdrant_url": _optional(address("http", "https")),
    "qdrant_api_key": _optional(_header),
    "l1_entries": COUNT,
    "l1_ttl_seconds": seconds,
    "l2_ttl_seconds": seconds,
    "flags_source": _source,
    "flags_file": _path,
}
