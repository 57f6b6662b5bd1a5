"""Run the service: ``python -m flags_svc``."""

from flags_svc.app import create_app
from flags_svc.settings import Settings
from windsock_kit import entry


def main() -> None:
    """Read the settings and serve until told to stop."""
    entry.run("flags-svc", Settings.from_env, create_app, port_variable="FLAGS_PORT")


if __name__ == "__main__":
    main()
