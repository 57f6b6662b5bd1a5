"""The launcher with a demo of which one part ends at its start."""

import sys
from dataclasses import replace

from tests.infra.integration.launcher import SERVICES
from windsock_embedded.cli import main
from windsock_embedded.services import WORKLOAD

BROKEN = (sys.executable, "-c", "raise SystemExit('no model for me')")

if __name__ == "__main__":
    parts = [replace(s, command=BROKEN) if s.name == WORKLOAD.name else s for s in SERVICES]
    sys.exit(main(services=parts))
