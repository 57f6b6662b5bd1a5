"""Run the service: ``python -m adaptive_questions``."""

from __future__ import annotations

import sys

from adaptive_questions.app import create_app
from adaptive_questions.settings import Settings
from windsock_kit import logs, serve
from windsock_kit.environment import SettingsError
from windsock_kit.loopback import require_loopback


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        sys.exit(f"adaptive-questions: {error}")
    require_loopback(settings.host)
    logs.configure("adaptive-questions", format=settings.log_format, level=settings.log_level)
    serve.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        hint="; QUESTIONS_PORT chooses another port",
    )


if __name__ == "__main__":
    main()
