"""What the service can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self


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
    flags_file: Path | None = None

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
                shown = variable if name in _SECRET else f"{variable}={text!r}"
                raise SettingsError(f"{shown} is wrong: {error}") from None
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


class SettingsError(ValueError):
    """A setting is wrong; the message says which and what to do."""


_VARIABLES = {
    "auth": "WINDSOCK_AUTH",
    "flags_file": "WINDSOCK_FLAGS_FILE",
    "openai_base_url": "OPENAI_BASE_URL",
    "openai_api_key": "OPENAI_API_KEY",
    "qdrant_url": "QDRANT_URL",
    "qdrant_api_key": "QDRANT_API_KEY",
}
_SECRET = frozenset(
    {"openai_base_url", "openai_api_key", "redis_url", "qdrant_url", "qdrant_api_key"}
)


def variable_of(name: str) -> str:
    """Return the environment variable of a field; some are those that other programs know already."""
    return _VARIABLES.get(name) or f"QUESTIONS_{name.upper()}"


def _text(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise ValueError("it must be printable ASCII")
    return text


def _address(*schemes: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"it must start with {' or '.join(f'{each}://' for each in schemes)}")
        return text

    return convert


def _optional(convert: Callable[[str], str]) -> Callable[[str], str | None]:
    """Take the empty text for none: that is how compose files leave a variable out."""
    return lambda text: convert(text) if text else None


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _whole(text: str, *, most: int | None = None) -> int:
    bounds = "from 1 on" if most is None else f"from 1 to {most}"
    wrong = ValueError(f"it must be a whole number {bounds}")
    try:
        value = int(text)
    except ValueError:
        raise wrong from None
    if value < 1 or (most is not None and value > most):
        raise wrong
    return value


def _port(text: str) -> int:
    return _whole(text, most=65_535)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
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
    "host": _text,
    "port": _port,
    "auth": _one_of("off"),
    "log_format": _one_of("json", "console"),
    "log_level": _one_of("debug", "info", "warning", "error"),
    "max_requests": _whole,
    "request_timeout_seconds": _seconds,
    "heartbeat_seconds": _seconds,
    "openai_base_url": _address("http", "https"),
    "openai_api_key": _header,
    "provider": _text,
    "model": _optional(_text),
    "embedding_model": _optional(_text),
    "model_timeout_seconds": _seconds,
    "max_model_calls": _whole,
    "redis_url": _optional(_address("redis", "rediss", "unix")),
    "qdrant_url": _optional(_address("http", "https")),
    "qdrant_api_key": _optional(_header),
    "l1_entries": _whole,
    "l1_ttl_seconds": _seconds,
    "l2_ttl_seconds": _seconds,
    "flags_file": _path,
}
