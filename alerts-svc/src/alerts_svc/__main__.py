"""Run the service: ``python -m alerts_svc``."""

from __future__ import annotations

import gc
import sys

from alerts_svc.app import create_app
from alerts_svc.settings import Settings
from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = Settings.from_env()
        app = create_app(settings)
    except SettingsError as error:
        sys.exit(f"alerts-svc: {error}")
    require_loopback(settings.host)
    logs.configure("alerts-svc", format=settings.log_format, level=settings.log_level)
    # What start-up made stays for good, and so do the alerts that are in memory: each evaluation makes thousands
    # of short-lived values, and looking through all the others for cycles would take longer than making them.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    serve.run(
        app,
        host=settings.host,
        port=settings.port,
        hint="; ALERTS_PORT chooses another port",
    )


if __name__ == "__main__":
    main()
