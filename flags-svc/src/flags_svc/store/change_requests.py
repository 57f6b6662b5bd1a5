"""Changes that wait for others to agree, and what they think of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from flags_svc.domain.change_request import ChangeRequest, Status, Vote, Wanted
from flags_svc.domain.world import Author, Edit, Item, ItemKind
from flags_svc.store.content import dump, load, text
from windsock_kit.errors import ConflictError, NotFoundError

_CREATE = """
    INSERT INTO flags.change_requests (author, comment, needed, created_at, content)
    VALUES ($1, $2, $3, extract(epoch FROM clock_timestamp()), $4)
    RETURNING id
"""
# $1 one of them, or null for all; $2 a status, or null for any; $3 before which number; $4 how many.
_READ = """
    SELECT
        r.id, r.number, r.status, r.author, r.comment, r.needed, r.created_at, r.decided_at,
        r.revision, r.content, v.votes
    FROM flags.change_requests AS r
    LEFT JOIN LATERAL (
        SELECT array_agg((name, agrees, comment, at) ORDER BY at, name) AS votes
        FROM flags.votes
        WHERE request = r.id
    ) AS v ON true
    WHERE ($1::text IS NULL OR r.id = $1) AND ($2::text IS NULL OR r.status = $2)
        AND ($3::bigint IS NULL OR r.number < $3)
    ORDER BY r.number DESC
    LIMIT $4
"""
# Whoever decides at the same time comes before it or after it.
_VOTE = """
    WITH open AS (
        SELECT id FROM flags.change_requests WHERE id = $1 AND status = 'open' FOR SHARE
    )
    INSERT INTO flags.votes (request, name, agrees, comment, at)
    SELECT id, $2, $3, $4, extract(epoch FROM clock_timestamp()) FROM open
    ON CONFLICT (request, name) DO UPDATE
    SET agrees = excluded.agrees, comment = excluded.comment, at = excluded.at
"""
# $1 and $2: the last vote is at least and at most so many seconds old. Whoever gave it is applying the request for the
# first, and one that could not be applied for the second is not to come into force by surprise.
_LEFT = """
    SELECT r.id
    FROM flags.change_requests AS r
    JOIN flags.votes AS v ON v.request = r.id AND v.agrees
    WHERE r.status = 'open'
    GROUP BY r.id, r.number, r.needed
    HAVING count(*) >= r.needed
        AND extract(epoch FROM clock_timestamp()) - max(v.at) BETWEEN $1 AND $2
    ORDER BY r.number
    LIMIT 100
"""
# While it is open the most that had to agree at any time counts, then how many had to in the end.
_NEEDED = """
    UPDATE flags.change_requests
    SET needed = CASE status WHEN 'open' THEN greatest(needed, $2) ELSE $2 END
    WHERE id = $1
"""
_CLOSE = """
    UPDATE flags.change_requests
    SET status = $2, decided_at = extract(epoch FROM clock_timestamp())
    WHERE id = $1 AND status = 'open'
"""


_DELETED = b"null"
LEFT_SECONDS = 5.0
SURPRISE_SECONDS = 3_600.0


class _Wanted(msgspec.Struct):
    kind: ItemKind
    key: str
    action: str
    version: int
    item: msgspec.Raw


_content = msgspec.json.Decoder(list[_Wanted])


class ChangeRequests:
    """Change requests; what is not open any more stays as it is."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def create(
        self, wanted: Sequence[Wanted], *, author: Author, needed: int
    ) -> ChangeRequest:
        """Store a new request."""
        values = (
            text(author.name),
            text(author.comment),
            needed,
            await asyncio.to_thread(_dumped, wanted),
        )
        return await self.get(await self._pool.fetchval(_CREATE, *values))

    async def get(self, request: str) -> ChangeRequest:
        """Return one request; raises ``NotFoundError``."""
        row = await self._pool.fetchrow(_READ, text(request), None, None, 1)
        if row is None:
            raise NotFoundError(f"there is no change request {request[:100]}")
        return await asyncio.to_thread(_request, row)

    async def page(
        self, *, status: Status | None = None, before: str | None = None, limit: int
    ) -> list[ChangeRequest]:
        """Return requests, newest first; those older than ``before`` if that is given."""
        number = None
        if before is not None:
            row = await self._pool.fetchrow(_READ, text(before), None, None, 1)
            if row is None:
                raise NotFoundError(f"there is no change request {before[:100]}")
            number = row["number"]
        rows = await self._pool.fetch(_READ, None, status, number, limit)
        return await asyncio.to_thread(_requests, rows)

    async def vote(self, request: str, voter: Author, *, agrees: bool) -> ChangeRequest:
        """Take note of what somebody thinks, in place of what he thought before."""
        values = (text(voter.name), agrees, text(voter.comment))
        return await self._changed(request, await self._pool.execute(_VOTE, request, *values))

    async def note_needed(self, request: str, needed: int) -> ChangeRequest:
        """Take note of how many others must agree, or of an applied one, had to."""
        await self._pool.execute(_NEEDED, request, needed)
        return await self.get(request)

    async def left(
        self, *, after_seconds: float = LEFT_SECONDS, until_seconds: float = SURPRISE_SECONDS
    ) -> list[ChangeRequest]:
        """Return open requests that enough agree to, though the last of them did so some seconds ago."""
        rows = await self._pool.fetch(_LEFT, after_seconds, until_seconds)
        found = [await self.get(row["id"]) for row in rows]
        return [each for each in found if each.status is Status.OPEN and each.enough]

    async def close(self, request: str, status: Status) -> ChangeRequest:
        """Decide a request without applying it."""
        return await self._changed(request, await self._pool.execute(_CLOSE, request, status))

    async def _changed(self, request: str, done: str) -> ChangeRequest:
        held = await self.get(request)
        if done.endswith(" 0"):
            raise ConflictError(f"the change request is {held.status} already")
        return held


def _dumped(wanted: Sequence[Wanted]) -> str:
    rows = [
        _Wanted(
            each.edit.kind,
            each.edit.key,
            each.edit.action,
            each.version,
            msgspec.Raw(_DELETED if each.edit.item is None else dump(each.edit.item).encode()),
        )
        for each in wanted
    ]
    return msgspec.json.encode(rows).decode()


def _loaded(content: str) -> tuple[Wanted, ...]:
    return tuple(
        Wanted(
            Edit(
                row.kind,
                row.key,
                _item(row.kind, row.key, bytes(row.item)),
                row.action,
            ),
            row.version,
        )
        for row in _content.decode(content)
    )


def _item(kind: ItemKind, key: str, content: bytes) -> Item | None:
    return None if content == _DELETED else load(kind, key, content)


def _requests(rows: Iterable[asyncpg.Record]) -> list[ChangeRequest]:
    return [_request(row) for row in rows]


def _request(row: asyncpg.Record) -> ChangeRequest:
    return ChangeRequest(
        row["id"],
        Author(row["author"], row["comment"]),
        row["needed"],
        _loaded(row["content"]),
        row["created_at"],
        Status(row["status"]),
        tuple(Vote(*vote) for vote in row["votes"] or ()),
        row["decided_at"],
        row["revision"],
    )
