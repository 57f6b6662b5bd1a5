"""Processes that begin with everything imported: each is forked from one that has done nothing else yet.

Importing a service takes longer than all that it does at start, and these tests start them dozens of times.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults import resolving

_PROGRAMS = (
    "alerts_svc.__main__",
    "flags_svc.__main__",
    "tests.faults.alerting.crashing",
    "tests.faults.flags.crashing",
    "tests.faults.flags.application",
)
_context = multiprocessing.get_context("forkserver")
# The last one is what a child imports on account of having been started by it.
_context.set_forkserver_preload([*_PROGRAMS, "pytest"])


def start(program: str, environment: Mapping[str, str], log: Path) -> ForkServerProcess:
    """Start the ``main`` of a module with an environment, all it says going to ``log``."""
    process = _context.Process(target=_run, args=(program, dict(environment), str(log)))
    process.start()
    return process


def _run(program: str, environment: Mapping[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if names := environment.get("RESOLVE_FROM"):
        resolving.install(names)
    if "LD_PRELOAD" in environment:
        # It is read when a program begins.
        os.execv(sys.executable, [sys.executable, "-m", program])
    # Here, so that whoever only starts processes imports nothing of the service.
    importlib.import_module(program).main()
