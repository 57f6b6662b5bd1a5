"""Run the service: ``python -m adaptive_questions``."""

from adaptive_questions.app import create_app
from adaptive_questions.settings import Settings
from windsock_kit import entry


def main() -> None:
    """Read the settings and serve until told to stop."""
    entry.run("adaptive-questions", Settings.from_env, create_app, port_variable="QUESTIONS_PORT")


if __name__ == "__main__":
    main()
