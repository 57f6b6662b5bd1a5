"""The collector and the flags of this process: configured once, fresh after a fork, closed at exit."""

import atexit
import os
import time

from windsock.collector import COLLECTORS, MetricsCollector
from windsock.flags.client import FeatureFlags
from windsock.pipeline import SendingPipeline
from windsock.settings import Settings

_FORMER_TIMEOUT_SECONDS = 1.0

collector = MetricsCollector()
feature_flags = FeatureFlags(collector)


def get_metrics_collector() -> MetricsCollector:
    """Return the collector of this process, always the same one."""
    return collector


def get_feature_flags() -> FeatureFlags:
    """Return the flags of this process, always the same object."""
    return feature_flags


def configure(**settings: object) -> None:
    """Set up collector and flags of this process: keywords over environment over defaults.

    The keywords are the fields of ``windsock.Settings``. One that cannot be used is
    reported on the logger ``windsock``. Call it at the start: what was recorded before
    is sent as configured before, for which a second call waits up to a second.
    """
    pipeline = SendingPipeline(Settings.from_env().changed(settings))
    former = collector.install(pipeline)
    feature_flags.configure(pipeline.settings)
    if pipeline.settings.enabled and pipeline.settings.spool_dir is not None:
        # What another process left behind need not wait for this one's first event.
        pipeline.start()
    if former is not None:
        former.close(_FORMER_TIMEOUT_SECONDS)


def flush(timeout: float = 5.0) -> bool:
    """Wait until the service has answered for all that was recorded before."""
    return collector.flush(timeout)


def close(timeout: float = 5.0) -> bool:
    """Send what is there for at most ``timeout`` seconds and stop; flags stay as they are."""
    deadline = time.monotonic() + timeout
    ended = feature_flags.close(timeout)
    return collector.close(max(deadline - time.monotonic(), 0.0)) and ended


def _close_at_exit() -> None:
    began = time.monotonic()
    # First, as what it records goes through the collectors.
    feature_flags.close_at_exit()
    for each in list(COLLECTORS):
        each.close_at_exit(time.monotonic() - began)


def _after_fork() -> None:
    feature_flags.after_fork()
    for each in list(COLLECTORS):
        each.after_fork()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
