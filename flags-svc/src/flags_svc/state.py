"""What the composition root hands to the routes."""

from __future__ import annotations

from typing import TypedDict

from flags_svc.live.replica import Replica
from flags_svc.ports import Editor
from windsock_kit.clock import Clock


class State(TypedDict):
    """Everything a handler may use, made once for each process."""

    live: Replica
    editor: Editor
    clock: Clock
    default_environment: str
    max_body_bytes: int
