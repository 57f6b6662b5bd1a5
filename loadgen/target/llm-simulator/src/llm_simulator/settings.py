"""What the simulator can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with their defaults. Every field has an environment variable, listed in the README."""

    host: str = "127.0.0.1"
    port: int = 8011
    auth: Literal["off"] = "off"
    log_format: Literal["json", "console"] = "json"
    log_level: str = "info"
    seed: int = 1
    time_scale: float = 1.0
    slots: int = 64
    queue: int = 2_000
    requests_per_minute: int = 60_000
    tokens_per_minute: int = 100_000_000
    max_body_bytes: int = 2 * 2**20

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
                raise SettingsError(f"{variable}={text!r} is wrong: {error}") from None
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


class SettingsError(ValueError):
    """A setting is wrong; the message says which and what it may be."""


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    return "WINDSOCK_AUTH" if name == "auth" else f"SIMULATOR_{name.upper()}"


def _text(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _whole(text: str, *, least: int, most: int | None = None) -> int:
    bounds = f"from {least} on" if most is None else f"from {least} to {most}"
    wrong = ValueError(f"it must be a whole number {bounds}")
    try:
        value = int(text)
    except ValueError:
        raise wrong from None
    if value < least or (most is not None and value > most):
        raise wrong
    return value


def _port(text: str) -> int:
    return _whole(text, least=1, most=65_535)


def _seed(text: str) -> int:
    return _whole(text, least=0, most=2**63 - 1)


def _count(text: str) -> int:
    return _whole(text, least=1)


def _limit(text: str) -> int:
    return _whole(text, least=0)


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ValueError("it must be a number from 0 (no waiting) to 100")
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
    "seed": _seed,
    "time_scale": _scale,
    "slots": _count,
    "queue": _limit,
    "requests_per_minute": _limit,
    "tokens_per_minute": _limit,
    "max_body_bytes": _count,
}
