"""A source whose flags change: a thread listens to where they come from, for as long as it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from windsock.counters import Warnings, log
from windsock.flags.evaluation import PROVIDER_NOT_READY
from windsock.flags.reporting import Usage
from windsock.flags.source import CHANGED, ERROR, READY, STALE, FlagsStatus, Notice
from windsock.flags.versions import NoFlags, Version
from windsock.retry import full_jitter
from windsock.worker import Worker, close_with_process

# How people call a feed.
_NAMES = {"redis": "Redis"}


class FeedError(Exception):
    """Flags cannot be had now: an error code of OpenFeature, and a message.

    ``after_seconds`` is when to try again, if whoever refused has said so.
    """

    def __init__(
        self, message: str, *, code: str = PROVIDER_NOT_READY, after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.after_seconds = after_seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a source is, in seconds.

    A connection that lasted ``steady`` was none that failed. ``longest_wait`` bounds the random
    waits between tries.
    """

    silence: float = 15.0
    steady: float = 10.0
    longest_wait: float = 10.0


class Hold(Protocol):
    """The side of a source that a feed tells what it hears."""

    version: Version | NoFlags
    pace: Pace

    @property
    def stopping(self) -> threading.Event: ...

    def put(self, version: Version) -> None:
        """Put ``version`` in force, unless it is; the feed has been heard with that."""

    def heard(self) -> None:
        """Take note that the feed lives, and that what is in force is right."""

    def trouble(self, problem: NoFlags) -> None:
        """Take note that the feed cannot be read; what is in force stays."""


class Feed(Protocol):
    """Reads flags from somewhere. Everything but ``first`` and ``interrupt`` runs in the thread."""

    name: str

    def first(self) -> tuple[Version | NoFlags, bool]:
        """Return what is known before anything is heard, and whether that is more than a backup."""

    def listen(self, hold: Hold) -> None:
        """Tell ``hold`` what is heard, until ``hold.stopping``; return or raise when it breaks off."""

    def interrupt(self) -> None:
        """Make ``listen`` return; called by another thread."""

    def forget_after_fork(self) -> None:
        """Close the child's copies of connections, and nothing that a lost thread may have locked."""


class Follower(Protocol):
    """Who does what else is to be done for each new version, in a thread of its own."""

    usage: Usage

    def start(self, source: WatchedSource) -> None: ...

    def applied(self) -> None: ...

    def close(self, deadline: float) -> bool: ...

    def after_fork(self) -> None: ...


class WatchedSource:
    """Keeps what a feed says in force.

    ``version`` is replaced as a whole, by the thread alone, so an evaluation needs no lock.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        environment: str = "",
        follower: Follower | None = None,
        pace: Pace | None = None,
        exit_timeout_seconds: float = 2.0,
        jitter: Callable[..., float] = full_jitter,
    ) -> None:
        self.told: Callable[[Notice], None] = _nobody
        self.pace = pace or Pace()
        self.environment = environment
        self.version, self._fresh = feed.first()
        self.applied_at = time.monotonic()
        self._heard_at = self.applied_at if self._fresh else None
        self._connected = self._fresh
        self._feed = feed
        self._follower = follower
        self._exit_timeout = exit_timeout_seconds
        self._jitter = jitter
        self._closed = False
        self._problem = self.version.message if isinstance(self.version, NoFlags) else ""
        self._told_kind = ""
        self._warnings = Warnings()
        self._make_threads()

    def _make_threads(self) -> None:
        self._tried = self._fresh
        self._moved = threading.Condition()
        self._worker = Worker("windsock-flags", self._run)

    @property
    def usage(self) -> Usage | None:
        return None if self._follower is None else self._follower.usage

    @property
    def is_backup(self) -> bool:
        """Whether what is in force has never been confirmed in this process."""
        return not self._fresh

    @property
    def stopping(self) -> threading.Event:
        return self._worker.stopping

    def start(self) -> None:
        if self._worker.is_started or self._closed:
            return
        self._worker.start()
        if self._follower is not None:
            self._follower.start(self)
        close_with_process(self.close, self._exit_timeout)

    def ready(self, timeout: float) -> bool:
        """Wait until the flags are those of the feed; after a vain try those of a backup will do."""
        self.start()
        with self._moved:
            self._moved.wait_for(self._is_settled, max(timeout, 0.0))
        return isinstance(self.version, Version)

    def status(self) -> FlagsStatus:
        version = self.version
        heard = self._heard_at
        age = None if heard is None else time.monotonic() - heard
        known = isinstance(version, Version)
        return FlagsStatus(
            self._feed.name,
            self.environment,
            version.revision if isinstance(version, Version) else None,
            version.epoch if isinstance(version, Version) else "",
            len(version.flags) if isinstance(version, Version) else 0,
            connected=self._connected,
            age_seconds=age,
            stale=known and (age is None or age > self.pace.silence),
            backup=known and not self._fresh,
            problem=self._problem,
        )

    def close(self, timeout: float) -> bool:
        deadline = time.monotonic() + max(timeout, 0.0)
        self._closed = True
        self._worker.stopping.set()
        self._feed.interrupt()
        with self._moved:
            self._moved.notify_all()
        ended = self._worker.join(deadline)
        self._connected = False
        return (self._follower is None or self._follower.close(deadline)) and ended

    def after_fork(self) -> None:
        self._feed.forget_after_fork()
        if self._follower is not None:
            self._follower.after_fork()
        self._connected = False
        self._make_threads()

    def put(self, version: Version) -> None:
        before, first = self.version, not self._fresh
        if version is before:
            self.heard()
            return
        self.version = version
        self.applied_at = time.monotonic()
        self._fresh = True
        self._tell(Notice(CHANGED, before))
        self.heard()
        if first:
            name = self._feed.name
            log.info("%d flags from %s", len(version.flags), _NAMES.get(name, f"the {name}"))
        if self._follower is not None:
            self._follower.applied()

    def heard(self) -> None:
        self._heard_at = time.monotonic()
        self._connected = True
        self._problem = ""
        if not self._tried or not self._fresh or self._told_kind != READY:
            self._fresh = True
            if self._told_kind != READY:
                self._told_kind = READY
                self._tell(Notice(READY))
            self._settle()

    def trouble(self, problem: NoFlags) -> None:
        kept = "the former flags stay" if self._fresh else "those of the backup stay"
        self._connected = False
        if isinstance(self.version, NoFlags):
            kept = "no flags yet"
            before, self.version = self.version, problem
            self._tell(Notice(CHANGED, before))
        if not self._problem:
            log.warning("flags: %s (%s)", problem.message, kept)
        elif problem.message != self._problem:
            self._warnings.warn("trouble", "flags: %s (%s)", problem.message, kept)
        self._problem = problem.message
        self._tell_of_trouble(problem)
        self._settle()

    def _tell_of_trouble(self, problem: NoFlags) -> None:
        kind = ERROR if isinstance(self.version, NoFlags) else STALE
        if kind == self._told_kind or (kind == STALE and not self.status().stale):
            return
        self._told_kind = kind
        self._tell(Notice(kind, message=problem.message))

    def _settle(self) -> None:
        with self._moved:
            self._tried = True
            self._moved.notify_all()

    def _is_settled(self) -> bool:
        return self._closed or self._fresh or (self._tried and isinstance(self.version, Version))

    def _run(self) -> None:
        failures = 0
        while not self._worker.stopping.is_set():
            began = time.monotonic()
            problem = self._listen()
            self._connected = False
            if self._worker.stopping.is_set():
                break
            if time.monotonic() - began >= self.pace.steady:
                # Every connection ends some day; that it cannot be had again would be trouble.
                failures = 0
                log.info("flags: %s, connecting again", problem)
            else:
                self.trouble(NoFlags(problem.code, str(problem)))
            failures += 1
            wait = self._jitter(failures, cap=self.pace.longest_wait)
            if problem.after_seconds is not None:
                wait += min(problem.after_seconds, self.pace.silence)
            self._worker.stopping.wait(wait)

    def _listen(self) -> FeedError:
        try:
            self._feed.listen(self)
        except FeedError as error:
            return error
        # One bad step must not end the thread, which nobody would start again.
        except Exception as error:  # noqa: BLE001
            self._warnings.warn("failed", "listening for flags failed", exc_info=True)
            return FeedError(f"{type(error).__name__}: {error}"[:200])
        return FeedError("the connection ended")

    def _tell(self, notice: Notice) -> None:
        try:
            self.told(notice)
        # Those who listen are the application's, and the flags matter more.
        except Exception:  # noqa: BLE001
            self._warnings.warn("told", "a listener for flags failed", exc_info=True)


def _nobody(_: Notice) -> None:
    return
