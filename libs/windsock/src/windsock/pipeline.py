"""The life of one buffer and its sender: the thread, waking it, flushing, closing."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from windsock.buffer import Buffer, Marker, Record
from windsock.counters import BUFFER_FULL, CLOSED, Counters, Stats, Warnings, log
from windsock.sender import Sender
from windsock.settings import Settings
from windsock.transport import HttpTransport, Transport
from windsock.worker import close_with_process

_FAILED_TICK_SECONDS = 1.0


class Pipeline(Protocol):
    """Where a collector's records go."""

    @property
    def settings(self) -> Settings: ...

    @property
    def buffer(self) -> Buffer: ...

    @property
    def counters(self) -> Counters: ...

    def flush(self, timeout: float) -> bool: ...

    def close(self, timeout: float) -> bool: ...

    def stats(self) -> Stats: ...

    def after_fork(self) -> Pipeline: ...


class SendingPipeline:
    """Sends to the service from a thread that the first record starts."""

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self.settings = settings
        self.counters = Counters()
        self._capacity = settings.max_buffer_events if settings.enabled else 0
        self.buffer = Buffer(self._capacity, self._overflow)
        self._wake_at = min(settings.max_batch_events, max(self._capacity // 2, 1))
        self._transport = transport or HttpTransport(settings.endpoint, api_key=settings.api_key)
        self._sender = Sender(self.buffer, self._transport, settings, self.counters)
        self._thread: threading.Thread | None = None
        self._warnings = Warnings()
        self._closing = False
        # Bare locks: a signal handler may record while this very thread is in here, and
        # neither a failed ``acquire`` nor a ``release`` waits. ``_sleeping`` is held while
        # there is nothing to do, so that releasing it wakes the sender.
        self._starting = threading.Lock()
        self._sleeping = threading.Lock()
        self._sleeping.acquire()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was recorded before, and the spool, has been answered."""
        if not self._capacity or self._closing:
            return not self.buffer.events
        marker = Marker()
        self.buffer.events.append(marker)
        self.start()
        self._sender.hurry()
        self._wake()
        return marker.reached.wait(max(timeout, 0.0))

    def close(self, timeout: float) -> bool:
        """Send what is there until ``timeout``; the rest goes to the spool or is dropped.

        Return whether every event was answered by the service.
        """
        already = self._closing
        self._closing = True
        self.buffer.capacity = self.buffer.fast_limit = 0
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._sender.hurry(time.monotonic() + max(timeout, 0.0))
            self._wake()
            thread.join(max(timeout, 0.0))
        unsent = not already and not self._sender.finished
        self._sender.give_up()
        self.buffer.fast_limit = 0
        return not unsent and not self.counters.dropped().get(CLOSED)

    def stats(self) -> Stats:
        return self.counters.stats(
            buffered=sum(type(item) is tuple for item in self.buffer.events.copy()),
            spooled_batches=self._sender.spooled(),
        )

    def after_fork(self) -> SendingPipeline:
        """Return, in a forked child, a fresh pipeline: the parent sends what it has."""
        self._sender.forget_after_fork()
        return SendingPipeline(self.settings)

    def _overflow(self, record: Record, extra_slots: int) -> None:
        buffer = self.buffer
        if not self._capacity:
            return
        if self._closing:
            self.counters.drop(CLOSED)
            return
        if self._thread is None:
            self.start()
        if len(buffer.events) + extra_slots >= buffer.capacity:
            self.counters.drop(BUFFER_FULL)
            return
        buffer.append(record, extra_slots)
        if len(buffer.events) >= self._wake_at:
            self._wake()

    def start(self) -> None:
        """Start the sender, unless it runs; the first record and ``flush`` do so too."""
        if self._thread is not None or not self._starting.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._run, name="windsock-sender", daemon=True)
        try:
            thread.start()
        # The process has no thread left, or the interpreter is shutting down.
        except RuntimeError as error:
            log.warning("the sender cannot start: %s", error)
            self._starting.release()
            self.buffer.fast_limit = self.buffer.capacity
            return
        self._thread = thread
        close_with_process(self.close, self.settings.exit_timeout_seconds)

    def _wake(self) -> None:
        # Recording is on its short path again until the sender has gone to sleep.
        self.buffer.fast_limit = self.buffer.capacity
        if self._sleeping.locked():
            try:
                self._sleeping.release()
            except RuntimeError:
                return

    def _run(self) -> None:
        self._sender.open_spool()
        while True:
            wait = self._tick()
            if self._closing and self._sender.is_over(wait):
                break
            self._sleep(wait)
        self._sender.give_up()
        self._transport.close()

    def _tick(self) -> float:
        try:
            return self._sender.run_once()
        # One bad step must not end the thread, which nobody would start again.
        except Exception:  # noqa: BLE001
            self._warnings.warn("failed", "the sender failed and goes on", exc_info=True)
            return _FAILED_TICK_SECONDS

    def _sleep(self, seconds: float) -> None:
        """Sleep until there is a batch to send, or for so long at most."""
        if self._closing or self._sender.stuck:
            # Full batches are no reason to wake up as long as none can be sent.
            self.buffer.fast_limit = self.buffer.capacity
        else:
            self.buffer.fast_limit = self._wake_at
            if len(self.buffer.events) >= self._wake_at:
                self.buffer.fast_limit = self.buffer.capacity
                return
        if seconds > 0:
            self._sleeping.acquire(timeout=seconds)
