"""Run the service: ``python -m flags_svc``."""

from __future__ import annotations

import gc
import sys

from flags_svc.app import create_app
from flags_svc.settings import Settings
from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = Settings.from_env()
        app = create_app(settings)
    except SettingsError as error:
        sys.exit(f"flags-svc: {error}")
    require_loopback(settings.host)
    logs.configure("flags-svc", format=settings.log_format, level=settings.log_level)
    # What start-up made stays for good.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    serve.run(
        app,
        host=settings.host,
        port=settings.port,
        hint="; FLAGS_PORT chooses another port",
    )


if __name__ == "__main__":
    main()
