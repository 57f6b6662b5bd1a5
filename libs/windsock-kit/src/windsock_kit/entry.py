"""How a service begins as a process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

from starlette.types import ASGIApp

from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


class Serving(Protocol):
    """What every service's settings have."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def log_format(self) -> logs.Format: ...

    @property
    def log_level(self) -> str: ...


S = TypeVar("S", bound=Serving)


def run(
    service: str, read: Callable[[], S], create_app: Callable[[S], ASGIApp], *, port_variable: str
) -> None:
    """Serve until told to stop; settings that cannot be used end the process with one line."""
    try:
        settings = read()
        app = create_app(settings)
    except SettingsError as error:
        sys.exit(f"{service}: {error}")
    require_loopback(settings.host)
    logs.configure(service, format=settings.log_format, level=settings.log_level)
    # What start-up made stays for good, and services make many short-lived values: to look through
    # all others for cycles after every few hundred would take longer than making them.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    hint = f"; {port_variable} chooses another port"
    serve.run(app, host=settings.host, port=settings.port, hint=hint)
