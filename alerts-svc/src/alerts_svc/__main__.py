"""Run the service: ``python -m alerts_svc``."""

from alerts_svc.app import create_app
from alerts_svc.settings import Settings
from windsock_kit import entry


def main() -> None:
    """Read the settings and serve until told to stop."""
    entry.run("alerts-svc", Settings.from_env, create_app, port_variable="ALERTS_PORT")


if __name__ == "__main__":
    main()
