"""Which source the settings name."""

from __future__ import annotations

from collections.abc import Callable

from windsock.counters import log
from windsock.endpoint import Endpoint
from windsock.flags.backup import Backup, read_file
from windsock.flags.clerk import Clerk
from windsock.flags.evaluation import PROVIDER_NOT_READY
from windsock.flags.file import FileFeed
from windsock.flags.reporting import Reporter, Usage
from windsock.flags.shared import RedisFeed
from windsock.flags.source import FlagSource, MemorySource
from windsock.flags.stream import StreamFeed
from windsock.flags.versions import NoFlags, Version
from windsock.flags.watching import Feed, WatchedSource
from windsock.settings import Settings

_REPORT_TIMEOUT_SECONDS = 5.0


def chosen(settings: Settings) -> FlagSource:
    """Return the source that ``settings`` name; ``auto`` is the first of file, Redis and service."""
    name = settings.flags_source
    if name == "auto":
        name = _automatic(settings)
    if name == "file" and settings.flags_file is not None:
        return WatchedSource(FileFeed(settings.flags_file), environment=settings.environment)
    if name == "service":
        endpoint = _endpoint(settings)
        feed = StreamFeed(
            endpoint,
            settings.environment,
            backup=_backup_of(settings),
            timeout_seconds=settings.timeout_seconds,
        )
        return _remote(feed, settings, endpoint)
    if name == "redis" and settings.flags_redis_url is not None:
        return _shared(settings, settings.flags_redis_url)
    return _nothing(name)


def _automatic(settings: Settings) -> str:
    if settings.flags_file is not None:
        return "file"
    if settings.flags_redis_url is not None:
        return "redis"
    return "service" if settings.enabled else "off"


def _shared(settings: Settings, url: str) -> FlagSource:
    try:
        feed = RedisFeed(url, settings.environment, backup=_backup_of(settings))
    except ImportError:
        message = "flags from Redis need windsock[flags]"
        log.warning("flags: %s", message)
        return MemorySource(NoFlags(PROVIDER_NOT_READY, message), name="redis")
    return _remote(feed, settings, _endpoint(settings))


def _endpoint(settings: Settings) -> Endpoint:
    # That of the collector warns of a key that travels unencrypted.
    return Endpoint(settings.endpoint, api_key=settings.api_key, warns=False)


def _remote(feed: Feed, settings: Settings, endpoint: Endpoint) -> FlagSource:
    usage = Usage()
    timeout = min(settings.timeout_seconds, _REPORT_TIMEOUT_SECONDS)
    clerk = Clerk(usage, Reporter(endpoint, usage, timeout_seconds=timeout), _backup(settings))
    return WatchedSource(
        feed,
        environment=settings.environment,
        follower=clerk,
        exit_timeout_seconds=settings.exit_timeout_seconds,
    )


def _backup(settings: Settings) -> Backup | None:
    path = settings.flags_backup_file
    return None if path is None else Backup(path, settings.environment)


def _backup_of(settings: Settings) -> Callable[[], Version | None]:
    """Return what reads the flags to begin with: those of the last run, else of the flags file."""
    backup, path = _backup(settings), settings.flags_file

    def read() -> Version | None:
        found = None if backup is None else backup.read()
        return read_file(path) if found is None and path is not None else found

    return read


def _nothing(name: str) -> FlagSource:
    if name == "off":
        return MemorySource(NoFlags(PROVIDER_NOT_READY, "flags are switched off"), name="off")
    message = f"the source of flags is {name}, but WINDSOCK_FLAGS_{_VARIABLES[name]} is not set"
    log.warning("flags: %s", message)
    return MemorySource(NoFlags(PROVIDER_NOT_READY, message), name=name)


_VARIABLES = {"file": "FILE", "redis": "REDIS_URL"}
