"""What the simulator can be told from outside; read once, at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from windsock_kit.environment import COUNT, SERVING, Convert, read, whole


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
        given = read(env, _CONVERT, variable_of)
        return cls(**given)  # type: ignore[arg-type]  # The converters below give each field its type.


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    return "WINDSOCK_AUTH" if name == "auth" else f"SIMULATOR_{name.upper()}"


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ValueError("it must be a number from 0 (no waiting) to 100")
    return value


_LIMIT = whole(0)
_CONVERT: dict[str, Convert] = {
    **SERVING,
    "seed": whole(0, 2**63 - 1),
    "time_scale": _scale,
    "slots": COUNT,
    "queue": _LIMIT,
    "requests_per_minute": _LIMIT,
    "tokens_per_minute": _LIMIT,
    "max_body_bytes": COUNT,
}
