"""A thread that is started when it is first needed, and ends when it is told to."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from windsock.counters import log


class Worker:
    """Runs ``run`` in a daemon thread, once; ``run`` returns soon after ``stopping`` is set.

    A forked child has no thread: it makes another worker.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.stopping = threading.Event()
        self._name = name
        self._run = run
        self._thread: threading.Thread | None = None
        # A bare lock: a signal handler may start it while this very thread does.
        self._starting = threading.Lock()

    @property
    def is_started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it was started or stopped before."""
        if self._thread is not None or self.stopping.is_set():
            return
        if not self._starting.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        # The process has no thread left, or the interpreter is shutting down.
        except RuntimeError as error:
            log.warning("%s cannot start: %s", self._name, error)
            self._starting.release()
            return
        self._thread = thread

    def join(self, deadline: float) -> bool:
        """Wait for the end until ``deadline``, of the monotonic clock; return whether it came."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(deadline - time.monotonic(), 0.0))
        return not thread.is_alive()


def close_with_process(close: Callable[[float], object], timeout: float) -> None:
    """Let a worker of multiprocessing call ``close`` at its end: it runs no ``atexit`` functions."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, close, args=(timeout,), exitpriority=10)
