"""What the user may choose: each a variable of the environment and a flag."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from windsock_embedded.errors import EmbeddedError

DEFAULT_PORTS = {
    "gateway": 8000,
    "metrics": 8001,
    "alerts": 8002,
    "flags": 8003,
    "workload": 8010,
    "simulator": 8011,
    "postgres": 15432,
    "redis": 16379,
}
_WORDS = dict.fromkeys(("", "0", "false", "no", "off"), False)
_WORDS |= dict.fromkeys(("1", "true", "yes", "on"), True)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the data lies, which ports are used, what runs, and what services inherit."""

    data_dir: Path = Path(".windsock")
    ports: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_PORTS))
    demo: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            data_dir=Path(env.get("WINDSOCK_DATA_DIR", ".windsock")),
            ports={name: _port(env, name) for name in DEFAULT_PORTS},
            demo=not _switch(env, "WINDSOCK_NO_DEMO"),
            environment=dict(env),
        )


def _port(env: Mapping[str, str], name: str) -> int:
    text = env.get(port_variable(name), str(DEFAULT_PORTS[name]))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise EmbeddedError(f"{port_variable(name)}={text} is no port from 1 to 65535")
    return int(text)


def _switch(env: Mapping[str, str], variable: str) -> bool:
    text = env.get(variable, "")
    if text.lower() not in _WORDS:
        raise EmbeddedError(f"{variable}={text} is neither true nor false")
    return _WORDS[text.lower()]


def port_variable(name: str) -> str:
    return f"WINDSOCK_{name.upper()}_PORT"
