"""Run the simulator: ``python -m llm_simulator``."""

from __future__ import annotations

import sys

from llm_simulator.app import create_app
from llm_simulator.settings import Settings
from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        sys.exit(f"llm-simulator: {error}")
    require_loopback(settings.host)
    logs.configure("llm-simulator", format=settings.log_format, level=settings.log_level)
    serve.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        hint="; SIMULATOR_PORT chooses another port",
    )


if __name__ == "__main__":
    main()
