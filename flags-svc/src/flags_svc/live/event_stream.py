"""The answer that is a stream of server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flags_svc.live.hub import Hub, Subscription
from windsock_kit.asgi import connection_of

_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would wait for more before it passes on what there is.
    "X-Accel-Buffering": "no",
}
# The server keeps a copy of what it was handed for a slow client; a snapshot may have megabytes.
_PIECE_BYTES = 65_536


class EventStream(Response):
    """Sends what a subscription gives, until it is over or the client has gone."""

    media_type = "text/event-stream"

    def __init__(
        self, hub: Hub, subscription: Subscription, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(headers={**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._hub = hub
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one of both sides ends it."""
        connection = connection_of(scope)
        if connection is not None:
            # Whoever takes nothing would not take an end either.
            self._subscription.cut = connection.cut
            connection.at_shutdown(self._subscription.end)
        leaving = asyncio.create_task(self._until_left(receive))
        try:
            await self._send_all(scope, send)
        finally:
            self._hub.leave(self._subscription)
            leaving.cancel()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        while scope["method"] != "HEAD" and (data := await self._subscription.next()):
            for start in range(0, len(data), _PIECE_BYTES):
                piece = data[start : start + _PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.end()
