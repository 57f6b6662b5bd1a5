"""Processes that begin with everything imported: each is forked from one that has done nothing else yet.

Importing the service takes longer than all that it does at start, and these tests start it dozens of times.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults.alerting import resolving

_SERVICE = "alerts_svc.__main__"
_MINED = "tests.faults.alerting.crashing"
_context = multiprocessing.get_context("forkserver")
# The last one is what a child imports on account of having been started by it.
_context.set_forkserver_preload([_SERVICE, _MINED, "pytest"])


def start(environment: Mapping[str, str], log: Path, *, mined: bool) -> ForkServerProcess:
    """Start the service with an environment, all it says going to ``log``; ``mined`` lets it kill itself."""
    process = _context.Process(target=_run, args=(dict(environment), str(log), mined))
    process.start()
    return process


def _run(environment: Mapping[str, str], log: str, mined: bool) -> None:
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if names := environment.get("RESOLVE_FROM"):
        resolving.install(names)
    if "LD_PRELOAD" in environment:
        # It is read when a program begins.
        os.execv(sys.executable, [sys.executable, "-m", _MINED if mined else "alerts_svc"])
    # Here, so that whoever only starts processes imports nothing of the service.
    if mined:
        from tests.faults.alerting.crashing import main  # noqa: PLC0415
    else:
        from alerts_svc.__main__ import main  # noqa: PLC0415
    main()
