"""The launcher with the tests' upstream in place of the services."""

import sys
from dataclasses import replace

from windsock_embedded.cli import main
from windsock_embedded.services import ALERTS, METRICS, SIMULATOR, TRICKLE, WORKLOAD, Service


def stand_in(service: Service) -> Service:
    """Give the upstream under the name and the port of ``service``."""
    return replace(
        service,
        command=(sys.executable, "-m", "tests.infra.integration.upstream"),
        environment={"UPSTREAM_PORT": "{port}", "UPSTREAM_PROBES": "{probes}"},
        package=None,
    )


IDLE = replace(TRICKLE, command=(sys.executable, "-c", "import signal; signal.pause()"))
SERVICES = [stand_in(METRICS), stand_in(ALERTS), stand_in(SIMULATOR), stand_in(WORKLOAD), IDLE]

if __name__ == "__main__":
    sys.exit(main(services=SERVICES))
