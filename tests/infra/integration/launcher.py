"""The launcher with the tests' upstream in place of the services."""

import sys

from windsock_embedded.cli import main
from windsock_embedded.services import Service

UPSTREAM = Service(
    name="metrics-svc",
    port="metrics",
    command=(sys.executable, "-m", "tests.infra.integration.upstream"),
    schema="metrics",
    environment={"METRICS_PORT": "{port}", "METRICS_DATABASE_URL": "{database_url}"},
)

if __name__ == "__main__":
    sys.exit(main(services=[UPSTREAM]))
