"""Channels as they are configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How a channel delivers."""

    CONSOLE = "console"
    EMAIL = "email"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel; ``settings`` are checked by its kind and hold secrets, so they are never shown or logged.

    ``disabled_reason`` says why the service stopped using it (a receiver that answered 410). A heartbeat channel gets
    heartbeats and nothing else.
    """

    name: str
    kind: Kind
    settings: Mapping[str, Any] = field(repr=False, default_factory=dict)
    enabled: bool = True
    disabled_reason: str | None = None
    version: int = 1
