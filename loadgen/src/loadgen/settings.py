"""What the commands take from the environment; everything else is an option."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

DEFAULT_ENDPOINT = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Settings:
    endpoint: str = DEFAULT_ENDPOINT
    # A secret has no option: command lines are visible to every user of the machine.
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            endpoint=env.get("WINDSOCK_ENDPOINT") or DEFAULT_ENDPOINT,
            api_key=env.get("WINDSOCK_API_KEY") or None,
        )
