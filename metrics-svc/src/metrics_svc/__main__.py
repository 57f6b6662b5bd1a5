"""Run the service: ``python -m metrics_svc``."""

from __future__ import annotations

import gc
import sys

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = Settings.from_env()
        app = create_app(settings)
    except SettingsError as error:
        sys.exit(f"metrics-svc: {error}")
    require_loopback(settings.host)
    logs.configure("metrics-svc", format=settings.log_format, level=settings.log_level)
    # What start-up made stays for good, and batches make many short-lived tuples: looking through all of it for
    # cycles after every few hundred slows the ingest, and OTLP's JSON most.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    serve.run(
        app,
        host=settings.host,
        port=settings.port,
        hint="; METRICS_PORT chooses another port",
    )


if __name__ == "__main__":
    main()
