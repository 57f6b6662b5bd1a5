"""The launcher with the tests' upstream in place of the services."""

import sys
from dataclasses import replace

from windsock_embedded.cli import main
from windsock_embedded.services import (
    ALERTS,
    FLAGS,
    METRICS,
    SIMULATOR,
    TRICKLE,
    WORKLOAD,
    Service,
)


def stand_in(service: Service) -> Service:
    """Give the upstream under the name and the port of ``service``."""
    return replace(
        service,
        command=(sys.executable, "-m", "tests.infra.integration.upstream"),
        environment={"UPSTREAM_PORT": "{port}", "UPSTREAM_PROBES": "{probes}"},
        package=None,
    )


IDLE = replace(TRICKLE, command=(sys.executable, "-c", "import signal; signal.pause()"))
STOOD_IN = (METRICS, ALERTS, FLAGS, SIMULATOR, WORKLOAD)
SERVICES = [*(stand_in(service) for service in STOOD_IN), IDLE]

if __name__ == "__main__":
    sys.exit(main(services=SERVICES))
