"""Flags of the service: one connection, over which it sends what changes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

from windsock.endpoint import Endpoint
from windsock.flags.evaluation import PROVIDER_NOT_READY
from windsock.flags.reading import InvalidFlagsError
from windsock.flags.sse import Event, EventParser, TooLongError
from windsock.flags.versions import (
    Document,
    NoFlags,
    OutOfStepError,
    Version,
    after_change,
    document_of,
    from_snapshot,
    is_older,
)
from windsock.flags.watching import FeedError, Hold
from windsock.retry import retry_after_seconds

PATH = "/api/feature-flags/stream"
_PIECE = 256 * 1024
_MAX_PROBLEM = 4096
_ENDED = "the service has ended the stream"
NOT_YET = NoFlags(PROVIDER_NOT_READY, "the service has not answered yet")


class StreamFeed:
    """Takes a snapshot, then changes; goes on where it was after a break.

    Whatever does not follow on what is in force, or cannot be read, ends the connection, and the
    next begins with a snapshot. ``first`` gives what a former process has left.
    """

    name = "service"

    def __init__(
        self,
        endpoint: Endpoint,
        environment: str,
        *,
        backup: Callable[[], Version | None] = lambda: None,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._endpoint = endpoint
        self._environment = environment
        self._backup = backup
        self._timeout = timeout_seconds
        self._socket: socket.socket | None = None
        self._resumes = True
        self._takes_older = False
        self._ahead_since: float | None = None

    def first(self) -> tuple[Version | NoFlags, bool]:
        return self._backup() or NOT_YET, False

    def listen(self, hold: Hold) -> None:
        connection = self._endpoint.open(self._timeout)
        try:
            self._receive(self._answer(connection, hold), hold)
        except TimeoutError:
            raise FeedError("the service is silent") from None
        except http.client.IncompleteRead:
            raise FeedError(_ENDED) from None
        # OSError: refused, reset, unreachable, unresolved, TLS. UnicodeError: no host name.
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise FeedError(f"{type(error).__name__}: {error}"[:300]) from None
        finally:
            self._socket = None
            connection.close()

    def interrupt(self) -> None:
        opened = self._socket
        if opened is not None:
            with suppress(OSError):
                # That of TLS would wait for the other side; this wakes the thread that reads.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def forget_after_fork(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            with suppress(OSError):
                os.close(opened.detach())

    def _answer(
        self, connection: http.client.HTTPConnection, hold: Hold
    ) -> http.client.HTTPResponse:
        version = hold.version
        headers = self._endpoint.headers(Accept="text/event-stream", Cache_Control="no-cache")
        if self._resumes and isinstance(version, Version) and version.id is not None:
            headers["Last-Event-ID"] = version.id
        self._resumes = True
        query = urlencode({"environment": self._environment})
        connection.connect()
        self._socket = connection.sock
        if hold.stopping.is_set():
            raise FeedError("closed")
        connection.request("GET", f"{self._endpoint.path(PATH)}?{query}", headers=headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _refusal(response)
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise FeedError("HTTP 200 with another answer than Windsock's: is the endpoint right?")
        self._socket.settimeout(hold.pace.silence)
        return response

    def _receive(self, response: http.client.HTTPResponse, hold: Hold) -> None:
        parser = EventParser()
        try:
            while not hold.stopping.is_set():
                piece = response.read1(_PIECE)
                if not piece:
                    raise FeedError(_ENDED)
                for event in parser.feed(piece):
                    self._take(event, hold)
        except (OutOfStepError, InvalidFlagsError, TooLongError, RecursionError) as error:
            self._resumes = False
            raise FeedError(f"the stream cannot be followed: {error}"[:300]) from None
        finally:
            response.close()

    def _take(self, event: Event, hold: Hold) -> None:
        if event.kind == "snapshot":
            self._snapshot(document_of(event.data, event.kind), hold)
        elif event.kind == "change":
            if isinstance(hold.version, NoFlags):
                raise OutOfStepError("a change came before any snapshot")
            hold.put(after_change(hold.version, document_of(event.data, event.kind)))
        elif event.kind == "heartbeat":
            self._heartbeat(event, hold)

    def _snapshot(self, document: Document, hold: Hold) -> None:
        if document.get("environment", self._environment) != self._environment:
            raise InvalidFlagsError("environment", "is another one")
        former = hold.version if isinstance(hold.version, Version) else None
        version = from_snapshot(document, former)
        if former is not None and not self._takes_older and is_older(version, former):
            return
        self._takes_older = False
        self._ahead_since = None
        hold.put(version)

    def _heartbeat(self, event: Event, hold: Hold) -> None:
        version = hold.version
        revision = document_of(event.data, event.kind).get("revision")
        if type(revision) is not int:
            raise InvalidFlagsError("revision", "must be a whole number")
        if isinstance(version, NoFlags) or version.revision is None:
            return
        epoch = event.id.rpartition("-")[0]
        if (epoch and epoch != version.epoch) or revision > version.revision:
            raise OutOfStepError(f"the service is at {event.id or revision}, not {version.id}")
        if revision == version.revision:
            self._ahead_since = None
            hold.heard()
        else:
            self._wait_for_service(hold)

    def _wait_for_service(self, hold: Hold) -> None:
        """Bear with a process that lags; one that stays behind has lost changes for good."""
        now = time.monotonic()
        if self._ahead_since is None:
            self._ahead_since = now
        elif now - self._ahead_since > hold.pace.silence:
            self._ahead_since = None
            self._takes_older = True
            raise OutOfStepError("the service has gone back to an older revision")


def _refusal(response: http.client.HTTPResponse) -> FeedError:
    detail = ""
    with suppress(ValueError, RecursionError, OSError, http.client.HTTPException):
        problem = json.loads(response.read(_MAX_PROBLEM))
        if isinstance(problem, dict) and problem.get("detail"):
            detail = f", {str(problem['detail'])[:300]}"
    return FeedError(
        f"the service answers HTTP {response.status}{detail}",
        after_seconds=retry_after_seconds(response.headers.get("Retry-After")),
    )
