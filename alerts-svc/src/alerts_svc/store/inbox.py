"""What comes in through any replica's API and waits for the one that acts."""

from __future__ import annotations

import asyncpg

from alerts_svc.domain.outside import identity_of, labels_of
from alerts_svc.domain.world import Acknowledge, Close, Command, Posted
from alerts_svc.ports import ENOUGH_POSTED
from alerts_svc.store.content import dump, kind_of, load_command
from alerts_svc.store.fencing import CHANNEL, Connection
from windsock_kit.errors import UnavailableError

# Each of them is in the memory of the one that acts.
MAX_FROM_ELSEWHERE = 50_000
RETRY_AFTER_SECONDS = 60.0

_PUT = """
    WITH put AS (INSERT INTO alerts.inbox (kind, content, weight) VALUES ($1, $2, $3) RETURNING id)
    SELECT id, pg_notify($4, 'inbox') FROM put
"""
_ROOM = """
    SELECT
        (SELECT count(*) FROM alerts.alerts WHERE rule IS NULL)
        + (SELECT coalesce(sum(weight), 0) FROM alerts.inbox) AS taken,
        (SELECT count(*) FROM alerts.alerts WHERE fingerprint = ANY($1::text[])) AS known
"""
_WAITING = """
    SELECT id, at, kind, content
    FROM (
        SELECT id, at, kind, content, sum(weight) OVER (ORDER BY id) - weight AS before
        FROM (SELECT id, at, kind, content, weight FROM alerts.inbox ORDER BY id LIMIT $1) AS oldest
    ) AS weighed
    WHERE before < $2
    ORDER BY id
"""


class Inbox:
    """The way in; once ``put`` has returned, nothing gets lost."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def put(self, content: tuple[Posted, ...] | Acknowledge | Close) -> int:
        """Keep a command until it has been acted on, wake the one that acts, and return its number.

        Raises ``UnavailableError`` where alerts from elsewhere would be too many; those that are known may always come.
        """
        if isinstance(content, tuple):
            await self._check_room(content)
        weight = len(content) if isinstance(content, tuple) else 1
        number: int = await self._pool.fetchval(
            _PUT, kind_of(content), dump(content), weight, CHANNEL
        )
        return number

    async def _check_room(self, posted: tuple[Posted, ...]) -> None:
        names = list({identity_of(labels_of(each)) for each in posted})
        row = await self._pool.fetchrow(_ROOM, names)
        assert row is not None
        new = len(names) - row["known"]
        if new and row["taken"] + new > MAX_FROM_ELSEWHERE:
            raise UnavailableError(
                f"there are {row['taken']} alerts from elsewhere, and {MAX_FROM_ELSEWHERE} is the most;"
                " end or close some, or send fewer labels",
                retry_after=RETRY_AFTER_SECONDS,
            )


async def waiting(connection: Connection[asyncpg.Record], *, limit: int) -> list[Command]:
    """Return the oldest commands that wait, as many as one tick may act on."""
    rows = await connection.fetch(_WAITING, limit, ENOUGH_POSTED)
    return [load_command(row["id"], row["at"], row["kind"], row["content"]) for row in rows]
