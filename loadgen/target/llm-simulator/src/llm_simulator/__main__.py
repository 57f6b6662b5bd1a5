"""Run the service: ``python -m llm_simulator``."""

from llm_simulator.app import create_app
from llm_simulator.settings import Settings
from windsock_kit import entry


def main() -> None:
    """Read the settings and serve until told to stop."""
    entry.run("llm-simulator", Settings.from_env, create_app, port_variable="SIMULATOR_PORT")


if __name__ == "__main__":
    main()
