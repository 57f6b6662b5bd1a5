"""Run the service: ``python -m metrics_svc``."""

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from windsock_kit import entry


def main() -> None:
    """Read the settings and serve until told to stop."""
    entry.run("metrics-svc", Settings.from_env, create_app, port_variable="METRICS_PORT")


if __name__ == "__main__":
    main()
