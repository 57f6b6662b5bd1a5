"""Answers to remote evaluation: what is in force, for one context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica
from flags_svc.ofrep.pages import Pages
from flags_svc.ofrep.tokens import StreamTokens
from flags_svc.ofrep.versions import Version, Versions
from flags_svc.version import VERSION
from flags_svc.wire.ofrep import Asked, RefusedError, tell_set, tell_streams, unknown_flag
from windsock.flags.evaluation import GENERAL
from windsock_kit.errors import NotFoundError, UnavailableError
from windsock_kit.postgres import unavailable

STREAM_PATH: Final = "/ofrep/v1/sse"
# One more whenever the same flags would be answered otherwise.
_FORM: Final = f"{VERSION}/1"
_CATCH_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all bulk answers of one moment share: the text after the flags, and where their tags begin."""

    valid_for: tuple[object, ...]
    tail: bytes
    tag: blake2b


class Answers:
    """Evaluates for remote clients.

    ``streaming`` says whether one more stream can be taken on: while it cannot, clients are not sent there.
    """

    def __init__(
        self,
        live: Replica,
        versions: Versions,
        tokens: StreamTokens,
        *,
        default_environment: str,
        streaming: Callable[[], bool] = lambda: True,
    ) -> None:
        self._live = live
        self._versions = versions
        self._tokens = tokens
        self._streaming = streaming
        self._pages: dict[str, Pages] = {}
        self._frames: dict[str, _Frame] = {}
        self._reading: asyncio.Task[None] | None = None
        self.default_environment = default_environment

    def one(self, environment: str, key: str, asked: Asked) -> tuple[int, bytes]:
        """Evaluate one flag: the status and the body. Raises ``RefusedError``."""
        found = self._of(environment).one(key, asked)
        if found is None:
            raise unknown_flag(key, environment)
        return found

    def all(self, environment: str, asked: Asked) -> bytes:
        """Evaluate all flags. Raises ``RefusedError``."""
        return b'{"flags":[' + self._of(environment).all(asked) + self._frame(environment).tail

    def etag(self, environment: str, asked: Asked) -> bytes:
        """Return the tag of what ``all`` would answer. Raises ``RefusedError``.

        It covers the content of the environment, the context, and the time of the stream's address: who
        is told that nothing has changed goes on with the address of before, and that must still open.
        """
        self._of(environment)
        tag = self._frame(environment).tag.copy()
        tag.update(asked.canonical())
        return b'"%b"' % tag.hexdigest().encode()

    async def catch_up_with(self, event_id: str) -> None:
        """Read what is missing if a client has heard, from another process, of what is not known here yet."""
        heard = EventId.read(event_id)
        # Whoever reads already may have begun before the change.
        for _ in range(2):
            own = self._live.position
            if heard is None or heard.epoch != own.epoch or heard.revision <= own.revision:
                return
            # A thousand pages come at once, and one reading is enough for all of them.
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)

    async def _read(self) -> None:
        with suppress(UnavailableError), unavailable("what a client has heard of cannot be read"):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                await self._live.catch_up()

    def counted(self) -> dict[tuple[str, str, str | None], int]:
        """Take how often, since the last time, which flag of which environment gave which variant."""
        return {
            (environment, key, variant): count
            for environment, pages in self._pages.items()
            for (key, variant), count in pages.counted().items()
        }

    def _of(self, environment: str) -> Pages:
        flags = self._version(environment).content.compiled
        pages = self._pages.get(environment)
        if pages is None:
            pages = self._pages[environment] = Pages(flags)
        pages.use(flags)
        return pages

    def _version(self, environment: str) -> Version:
        try:
            return self._versions.of(environment)
        except NotFoundError as error:
            names = ", ".join(error.allowed or ())
            raise RefusedError(400, GENERAL, f"{error.detail}; there are: {names}") from None

    def _frame(self, environment: str) -> _Frame:
        version = self._version(environment)
        valid_for = version.fingerprint, version.since, self._tokens.window(), self._streaming()
        frame = self._frames.get(environment)
        if frame is None or frame.valid_for != valid_for:
            frame = self._frames[environment] = self._make_frame(environment, version, valid_for)
        return frame

    def _make_frame(
        self, environment: str, version: Version, valid_for: tuple[object, ...]
    ) -> _Frame:
        tail = b'],"metadata":' + tell_set(environment, f"{version.fingerprint:032x}")
        tag = blake2b(tail, digest_size=16, person=_FORM.encode()[:16])
        streaming = self._streaming()
        # Who has an address of the window before this one is to be given a new one in time.
        tag.update(repr((streaming, self._tokens.window())).encode())
        if streaming:
            token = self._tokens.issue(environment, self._live.event_id)
            tail += b',"eventStreams":' + tell_streams(f"{STREAM_PATH}?token={token}")
        return _Frame(valid_for, tail + b"}", tag)
