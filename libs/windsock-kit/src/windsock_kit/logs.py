"""One stream of structured log lines for our own events and for those of the libraries."""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

Format: TypeAlias = Literal["json", "console"]
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_HIDDEN = "***"
# Suffixes, so that client_secret and x-api-key are hidden and input_tokens and flag_key are not.
_SECRET_KEYS = (
    *("authorization", "api_key", "apikey", "password", "passwd", "secret", "token", "cookie"),
    *("credential", "credentials", "private_key", "secret_key", "access_key", "signing_key"),
)
_SECRET_TEXT = re.compile(
    r"(?P<url>\b[a-z][a-z0-9+.-]{0,20}://[^:/?#\s@]{0,200}:)[^@/\s]+(?=@)"
    r"|(?P<scheme>\b(?:bearer|basic)[ ]{1,8})[\w.~+/=-]+"
    r"|(?P<query>\b(?:password|api_key|apikey|token|secret)=)[^&\s'\"]+",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return key.lower().replace("-", "_").endswith(_SECRET_KEYS)


def _hide(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None) + _HIDDEN


def _scrubbed(value: object) -> object:
    if isinstance(value, str):
        # Most texts are words and paths, and looking for these is ten times cheaper.
        suspicious = "://" in value or "=" in value or " " in value
        return _SECRET_TEXT.sub(_hide, value) if suspicious else value
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN if isinstance(key, str) and _is_secret(key) else _scrubbed(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    return value


def scrub(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide the values of secret-looking keys, and passwords inside URLs and texts, at any depth."""
    for key, value in event.items():
        event[key] = _HIDDEN if _is_secret(key) else _scrubbed(value)
    return event


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if (current := request_id.get()) is not None:
        event["request_id"] = current
    return event


def _serialize(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # An integer over 64 bits or a lone surrogate: a log line must not fail.
        return orjson.dumps({str(key): repr(value) for key, value in event.items()}).decode()


class _Output:
    """Standard output for both kinds of logger; a reader that has gone must not fail a request."""

    def __init__(self) -> None:
        self._stream = sys.stdout

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def msg(self, line: str) -> None:
        self.write(line + "\n")

    debug = info = warning = error = critical = msg


def configure(
    service: str,
    *,
    format: Format = "json",  # noqa: A002
    level: str = "info",
) -> None:
    """Send structlog's and the standard library's records to standard output, in one format.

    Libraries below ``warning`` are quiet unless ``level`` is ``debug``; uvicorn keeps ``level``.
    """

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    # Scrubbing comes before our own additions, which are safe, and after the traceback's text.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        scrub,
        _add_request_id,
        add_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: Processor = (
        structlog.processors.JSONRenderer(_serialize)
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    output = _Output()
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number if number <= logging.DEBUG else max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(number)
