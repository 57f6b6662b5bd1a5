"""What can be set about the SDK, read once from the environment."""

import dataclasses
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_log = logging.getLogger("windsock")
FLAGS_SOURCES = ("auto", "service", "redis", "file", "off")
# An address of Redis may hold a password.
_SECRETS = frozenset(["api_key", "flags_redis_url"])
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one collector.

    ``WINDSOCK_`` and the field's name in capitals is the environment variable. A value
    that cannot be used is reported on the logger ``windsock`` and the default stands,
    because a typing error in telemetry must not keep an application from starting.
    """

    endpoint: str = "http://127.0.0.1:8000"
    api_key: str | None = field(default=None, repr=False)
    environment: str = "production"
    default_model: str | None = None
    default_provider: str | None = None
    enabled: bool = True
    flush_interval_seconds: float = 1.0
    timeout_seconds: float = 10.0
    exit_timeout_seconds: float = 2.0
    max_buffer_events: int = 10_000
    max_batch_events: int = 500
    spool_dir: Path | None = None
    spool_max_bytes: int = 64 * 1024 * 1024
    flags_source: str = "auto"
    flags_file: Path | None = None
    flags_redis_url: str | None = field(default=None, repr=False)
    flags_backup_file: Path | None = None
    record_exposures: bool = True
    record_flags: bool = True

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from ``WINDSOCK_*`` variables; unset and empty ones keep the default."""
        given = {name: env.get(variable(name), "") for name in _PARSERS}
        return cls().changed({name: value for name, value in given.items() if value})

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return these settings with ``changes``; what cannot be used is reported and left out."""
        valid: dict[str, Any] = {}
        for name, value in changes.items():
            parse = _PARSERS.get(name)
            if parse is None:
                _log.warning("there is no setting %s", name)
                continue
            try:
                valid[name] = parse(value)
            # The guard that keeps a wrong setting, of any type, from stopping the application.
            except Exception as error:  # noqa: BLE001
                reason = "is not usable" if name in _SECRETS else str(error)
                _log.warning(
                    "setting %s %s, keeping %r", variable(name), reason, _shown(self, name)
                )
        return dataclasses.replace(self, **valid)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"WINDSOCK_{name.upper()}"


def _shown(settings: Settings, name: str) -> object:
    return "the former one" if name in _SECRETS else getattr(settings, name)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value.strip()


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _secret(value: object) -> str | None:
    key = _optional_text(value)
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ValueError("must be printable ASCII")
    return key


def _endpoint(value: object) -> str:
    endpoint = _text(value).rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    url = urlsplit(endpoint)
    if not url.hostname or url.username is not None or url.query or url.fragment:
        raise ValueError("must be scheme, host, port and perhaps a path, nothing else")
    _ = url.port  # Raises where it is no port.
    return endpoint


def _redis_url(value: object) -> str | None:
    url = _optional_text(value)
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must start with redis://, rediss:// or unix://")
        _ = parts.port  # Raises where it is no port, as behind a password with an unquoted slash.
    return url


def _flags_source(value: object) -> str:
    word = _text(value).lower()
    if word not in FLAGS_SOURCES:
        raise ValueError(f"must be one of {', '.join(FLAGS_SOURCES)}")
    return word


def _path(value: object) -> Path | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str | os.PathLike):
        raise TypeError("must be a path")
    if "\x00" in os.fsdecode(value):
        raise ValueError("must be a path without NUL")
    return Path(os.fsdecode(value)).expanduser()


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = _text(value).lower()
    if word not in _WORDS:
        raise ValueError("must be true or false")
    return _WORDS[word]


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        number = _number(value)
        if not math.isfinite(number) or not low <= number <= high:
            raise ValueError(f"must be {low} to {high} seconds")
        return number

    return parse


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        number = _number(value)
        if not number.is_integer() or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(number)

    return parse


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("must be a number")
    return float(value)


_PARSERS: dict[str, Callable[[object], object]] = {
    "endpoint": _endpoint,
    "api_key": _secret,
    "environment": _text,
    "default_model": _optional_text,
    "default_provider": _optional_text,
    "enabled": _switch,
    "flush_interval_seconds": _seconds(0.01, 3600),
    "timeout_seconds": _seconds(0.1, 300),
    "exit_timeout_seconds": _seconds(0, 60),
    "max_buffer_events": _whole(1, 10_000_000),
    "max_batch_events": _whole(1, 5_000),
    "spool_dir": _path,
    "spool_max_bytes": _whole(1, 1 << 50),
    "flags_source": _flags_source,
    "flags_file": _path,
    "flags_redis_url": _redis_url,
    "flags_backup_file": _path,
    "record_exposures": _switch,
    "record_flags": _switch,
}
