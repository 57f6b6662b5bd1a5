"""Takes records out of the buffer, makes batches, and gets them to the service or onto disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from windsock.buffer import Buffer, Marker, Record
from windsock.counters import CLOSED, REFUSED, SPOOL_FULL, Counters, Warnings
from windsock.encoding import Batch, Encoder, batch_of
from windsock.fields import InvalidFieldError
from windsock.retry import full_jitter
from windsock.settings import Settings
from windsock.spool import Claim, Spool
from windsock.transport import Delivered, Outcome, Refused, Transport, TryAgain

_MAX_BATCH_CHARACTERS = 4 * 1024 * 1024
# The interpreter would let this thread encode for 5 ms before another gets its turn.
_RECORDS_PER_TURN = 32
_MIN_TIMEOUT_SECONDS = 0.05


class Sender:
    """The steps of sending, without a thread of their own: ``run_once`` is one of them.

    Everything but the request itself happens under a lock, so that ``give_up`` may take
    over from another thread while a request hangs.
    """

    def __init__(
        self,
        buffer: Buffer,
        transport: Transport,
        settings: Settings,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[int], float] = full_jitter,
    ) -> None:
        self._buffer = buffer
        self._transport = transport
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._jitter = jitter
        self._encoder = Encoder(settings)
        self._warnings = Warnings(clock=clock)
        self._lock = threading.Lock()
        self._spool: Spool | None = None
        self._spool_dir = settings.spool_dir
        self._current: Batch | None = None
        self._markers: list[Marker] = []
        self._failures = 0
        self._blocked_until = float("-inf")
        self._ordered_until = float("-inf")
        self._deadline: float | None = None
        self._abandoned = False
        self._reported_drops = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: all is sent, or given up."""
        return self._abandoned or (
            self._current is None and not self._buffer.events and not self.spooled()
        )

    @property
    def stuck(self) -> bool:
        """Whether a batch waits in memory for the time of its next try."""
        return self._current is not None and self._blocked_for() > 0

    def is_over(self, wait: float) -> bool:
        """Whether closing has nothing to wait for: all that can be sent is, or time is up.

        ``wait`` is what ``run_once`` returned. A batch that another process has in hand is its own.
        """
        if self._abandoned:
            return True
        blocked = self._blocked_for()
        if self._deadline is not None and self._clock() + max(blocked, 0.0) >= self._deadline:
            return True
        return wait > 0 and blocked <= 0 and self._current is None and not self._buffer.events

    def open_spool(self) -> None:
        """Set up the spool, if there is to be one; without it, all stays in memory."""
        with self._lock:
            self._open_spool()

    def _open_spool(self) -> None:
        directory, self._spool_dir = self._spool_dir, None
        if directory is None:
            return
        try:
            spool = Spool(directory, max_bytes=self._settings.spool_max_bytes)
            spool.open()
        except OSError as error:
            self._warnings.warn("spool", "no spool in %s: %s", directory, error)
        else:
            self._spool = spool

    def spooled(self) -> int:
        """Return how many batches wait on disk, those of other processes among them."""
        if self._spool is None:
            return 0
        try:
            return self._spool.count()
        except OSError:
            return 0

    def hurry(self, deadline: float | None = None) -> None:
        """Try again now, unless the service asked for patience; stop retrying at ``deadline``."""
        if deadline is not None:
            self._deadline = deadline
        self._blocked_until = self._ordered_until

    def run_once(self) -> float:
        """Send what there is; return the seconds until there is something to do again."""
        more = False
        if self._deliver_buffer():
            more = self._deliver_spool()
            if not more and self._blocked_for() <= 0:
                self._release_markers()
        self._report_drops()
        blocked = self._blocked_for()
        if blocked > 0:
            # With a spool, batches go on to disk meanwhile.
            return min(blocked, self._settings.flush_interval_seconds) if self._spool else blocked
        return 0.0 if more else self._settings.flush_interval_seconds

    def give_up(self, reason: str = CLOSED) -> None:
        """Put what is left on disk, else drop and count it. Nothing is sent afterwards."""
        with self._lock:
            if self._abandoned:
                return
            self._abandoned = True
            # The process may end before the sender's thread has begun.
            self._open_spool()
            while self._current is not None or self._buffer.events:
                batch = self._current or self._build(len(self._buffer.events))[1]
                self._current = None
                if batch is not None and not self._park(batch):
                    self._counters.drop(reason, batch.events)
        self._report_drops()

    def forget_after_fork(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        if self._spool is not None:
            self._spool.forget_after_fork()
        self._transport.forget_after_fork()

    def _deliver_buffer(self) -> bool:
        """Send what is in the buffer by now; return ``False`` when that had to stop."""
        # What comes in meanwhile waits for the next time, else batches would become tiny.
        budget = len(self._buffer.events)
        while True:
            with self._lock:
                if self._abandoned:
                    return False
                if self._current is None:
                    if budget <= 0:
                        return True
                    taken, self._current = self._build(budget)
                    budget -= taken
                batch = self._current
                if batch is None:
                    continue
                if self._blocked_for() > 0:
                    if not self._park(batch):
                        return False
                    self._current = None
                    continue
            outcome = self._transport.send(batch, self._timeout())
            with self._lock:
                if self._gave_up():
                    return False
                self._learn(outcome, batch)
                if not isinstance(outcome, TryAgain):
                    self._current = None

    def _deliver_spool(self) -> bool:
        """Send from the disk for a while; return whether more can be sent at once."""
        until = self._clock() + self._settings.flush_interval_seconds
        if self._deadline is not None:
            until = min(until, self._deadline)
        while self._spool is not None and self._blocked_for() <= 0:
            claim = self._claim(self._spool)
            if claim is None:
                return False
            outcome = self._transport.send(claim.batch, self._timeout())
            with self._lock:
                if self._abandoned or isinstance(outcome, TryAgain):
                    self._spool.release(claim)
                else:
                    self._spool.remove(claim)
                if self._abandoned:
                    return False
                self._learn(outcome, claim.batch)
            if self._clock() >= until:
                return True
        return False

    def _claim(self, spool: Spool) -> Claim | None:
        with self._lock:
            if self._abandoned:
                return None
            try:
                return spool.claim_oldest()
            except OSError as error:
                self._warnings.warn("spool", "cannot read the spool: %s", error)
                return None

    def _learn(self, outcome: Outcome, batch: Batch) -> None:
        """Count what became of ``batch`` and set when the next request may go out."""
        if isinstance(outcome, TryAgain):
            self._counters.add("retries")
            self._failures += 1
            now = self._clock()
            if outcome.after_seconds is not None:
                self._ordered_until = now + outcome.after_seconds
            self._blocked_until = max(now + self._jitter(self._failures), self._ordered_until)
            self._warnings.warn(
                "unreachable", "cannot send to %s yet: %s", self._settings.endpoint, outcome.reason
            )
            return
        self._failures = 0
        self._counters.add("batches")
        if isinstance(outcome, Refused):
            self._counters.drop(REFUSED, batch.events)
            self._warnings.warn(
                "refused", "a batch of %d events was refused: %s", batch.events, outcome.reason
            )
        else:
            self._count_delivered(outcome, batch)

    def _count_delivered(self, outcome: Delivered, batch: Batch) -> None:
        refused = len(outcome.rejected)
        self._counters.add("accepted", max(batch.events - refused, 0))
        if refused:
            self._counters.add("rejected", refused)
            self._warnings.warn(
                "rejected",
                "%d of %d events were rejected, the first: %s",
                refused,
                batch.events,
                outcome.rejected[0],
            )

    def _build(self, budget: int) -> tuple[int, Batch | None]:
        """Make a batch of at most ``budget`` places of the buffer; return how many it took."""
        events = self._buffer.events
        lines: list[str] = []
        taken = characters = 0
        while taken < budget and events:
            if len(lines) >= self._settings.max_batch_events or characters > _MAX_BATCH_CHARACTERS:
                break
            item = events.popleft()
            taken += 1
            if isinstance(item, Marker):
                self._markers.append(item)
            elif item is not None and (line := self._encode(item)) is not None:
                lines.append(line)
                characters += len(line)
            if taken % _RECORDS_PER_TURN == 0:
                time.sleep(0)
        if truncated := self._encoder.truncated():
            self._counters.add("truncated", truncated)
        return taken, batch_of(lines) if lines else None

    def _encode(self, record: Record) -> str | None:
        try:
            return self._encoder.encode(record)
        except InvalidFieldError as error:
            self._counters.invalid(str(error))
        # A record that cannot be written must not hold up the others.
        except Exception as error:  # noqa: BLE001
            self._counters.invalid(f"{type(error).__name__}: {error}")
        return None

    def _park(self, batch: Batch) -> bool:
        """Write ``batch`` to disk; return whether it is safe there."""
        if self._spool is None:
            return False
        try:
            lost = self._spool.write(batch)
        except OSError as error:
            self._warnings.warn("spool", "cannot write to the spool: %s", error)
            return False
        if lost:
            self._counters.drop(SPOOL_FULL, lost)
        return True

    def _gave_up(self) -> bool:
        return self._abandoned

    def _blocked_for(self) -> float:
        return self._blocked_until - self._clock()

    def _timeout(self) -> float:
        if self._deadline is None:
            return self._settings.timeout_seconds
        left = self._deadline - self._clock()
        return max(min(self._settings.timeout_seconds, left), _MIN_TIMEOUT_SECONDS)

    def _release_markers(self) -> None:
        if self.spooled():
            return
        for marker in self._markers:
            marker.reached.set()
        self._markers.clear()

    def _report_drops(self) -> None:
        dropped = self._counters.dropped()
        total = sum(dropped.values())
        if total > self._reported_drops:
            self._reported_drops = total
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
            hint = f" (last invalid: {self._counters.last_invalid})" if "invalid" in dropped else ""
            self._warnings.warn("dropped", "events dropped so far: %s%s", reasons, hint)
