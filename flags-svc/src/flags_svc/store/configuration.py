"""What is configured: one head, its items, and the changes that led there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, get_args

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from flags_svc.domain.world import Author, Change, Edit, ItemKind, Stored, World
from flags_svc.ports import Head, MovedOnError
from flags_svc.store.content import at_leisure, dump, load, text
from windsock_kit.errors import ConflictError
from windsock_kit.postgres import impatient

Connection = PoolConnectionProxy
CHANNEL = "flags_changed"
# A database that says nothing is as good as none; whoever waits for it is told so, and holds up the next one.
ANSWER_SECONDS = 5.0
# A whole suite's flags take longer than a question.
MOST_SECONDS = 30.0
SECONDS_PER_EDIT = 0.01

_HEAD = "SELECT epoch, revision FROM flags.head"
_ITEMS = """
    SELECT kind, key, content, version, revision, created_at, updated_at, updated_by
    FROM flags.items
    WHERE content IS NOT NULL
    ORDER BY kind, key
"""
_SINCE = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    WHERE revision > $1
    ORDER BY revision
    LIMIT $2
"""
# $1 epoch, $2 base, $3 author, $4 comment; then of each edit $5 kind, $6 key, $7 action, $8 content; $9 channel;
# $10 the change request that it came by, which is applied together with it.
# One statement is one transaction. It sees the items as they were at ``base``: had anybody moved the head on since
# the statement began, nothing would be updated. An item that comes twice has both changes, and becomes the last.
_COMMIT = """
    WITH request AS (
        SELECT id FROM flags.change_requests WHERE id = $10 AND status = 'open' FOR UPDATE
    ), head AS (
        UPDATE flags.head
        SET revision = revision + cardinality($6::text[])
        WHERE epoch = $1 AND revision = $2 AND ($10 = '' OR EXISTS (SELECT FROM request))
        RETURNING revision, extract(epoch FROM clock_timestamp())::double precision AS at
    ), given AS (
        SELECT
            $2::bigint + g.number AS revision, g.kind, g.key, head.at, g.action, g.content,
            coalesce(i.version, 0) + row_number() OVER item AS version,
            row_number() OVER item_backwards = 1 AS last,
            CASE WHEN i.content IS NULL OR bool_or(g.content IS NULL) OVER (PARTITION BY g.kind, g.key)
                THEN head.at ELSE i.created_at
            END AS created_at
        FROM head
        CROSS JOIN unnest($5::text[], $6::text[], $7::text[], $8::json[])
            WITH ORDINALITY AS g (kind, key, action, content, number)
        LEFT JOIN flags.items AS i ON i.kind = g.kind AND i.key = g.key
        WINDOW
            item AS (PARTITION BY g.kind, g.key ORDER BY g.number),
            item_backwards AS (PARTITION BY g.kind, g.key ORDER BY g.number DESC)
    ), changed AS (
        INSERT INTO flags.changes
            (revision, kind, key, version, at, author, comment, request, action, content)
        SELECT revision, kind, key, version, at, $3, $4, $10, action, content FROM given
    ), applied AS (
        UPDATE flags.change_requests AS r
        SET status = 'applied', decided_at = head.at, revision = head.revision
        FROM head
        WHERE r.id = $10
    ), stored AS (
        INSERT INTO flags.items AS held
            (kind, key, content, version, revision, created_at, updated_at, updated_by)
        SELECT kind, key, content, version, revision, created_at, at, $3 FROM given WHERE last
        ON CONFLICT (kind, key) DO UPDATE
        SET content = excluded.content, version = excluded.version, revision = excluded.revision,
            created_at = excluded.created_at, updated_at = excluded.updated_at,
            updated_by = excluded.updated_by
    ), told AS (
        SELECT pg_notify($9, $1 || ' ' || revision) FROM head
    )
    SELECT given.version, given.at
    FROM given
    CROSS JOIN (SELECT count(*) FROM told) AS once
    ORDER BY given.revision
"""
_BEGIN_ANEW = """
    WITH head AS (
        UPDATE flags.head SET epoch = replace(gen_random_uuid()::text, '-', '')
        WHERE epoch = $1 AND revision = $2
        RETURNING epoch, revision
    )
    SELECT pg_notify($3, epoch || ' ' || revision) FROM head
"""
_STATUS = "SELECT status FROM flags.change_requests WHERE id = $1"


class PostgresConfiguration:
    """Implements ``ports.Configuration``."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def head(self) -> Head:
        """Return how far the database is."""
        async with self._connection(ANSWER_SECONDS) as connection:
            row = await connection.fetchrow(_HEAD)
        assert row is not None
        return Head(row["epoch"], row["revision"])

    async def load(self) -> World:
        """Read everything, at one revision."""
        async with (
            self._connection(MOST_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _world(connection)

    async def since(self, revision: int, *, limit: int) -> Sequence[Change]:
        """Return the changes after ``revision``, oldest first, at most ``limit``."""
        async with self._connection(ANSWER_SECONDS) as connection:
            rows = await connection.fetch(_SINCE, revision, limit)
        return await at_leisure(changes_of, rows)

    async def commit(
        self, edits: Sequence[Edit], *, epoch: str, base: int, author: Author
    ) -> Sequence[Change]:
        """Commit all of ``edits`` or none, as the revisions after ``base``, each with its row of history.

        Raises ``MovedOnError`` if ``base`` of ``epoch`` is no longer the head, and ``ConflictError``
        if the author's change request is no longer open; it is applied together with the edits.
        Listeners on PostgreSQL are told in the same transaction.
        """
        if not edits:
            return []
        author = replace(author, name=text(author.name), comment=text(author.comment))
        contents = await at_leisure(_contents, edits)
        seconds = min(MOST_SECONDS, max(ANSWER_SECONDS, len(edits) * SECONDS_PER_EDIT))
        async with self._connection(seconds) as connection:
            rows = await connection.fetch(
                _COMMIT,
                *(epoch, base, author.name, author.comment),
                [edit.kind for edit in edits],
                [edit.key for edit in edits],
                [edit.action for edit in edits],
                contents,
                CHANNEL,
                author.request,
                timeout=seconds,
            )
        if not rows:
            await self._check_open(author.request)
            raise MovedOnError(f"revision {base} of {epoch} is no longer the head")
        return [
            Change(base + number, row["version"], row["at"], author, edit)
            for number, (row, edit) in enumerate(zip(rows, edits, strict=True), 1)
        ]

    async def begin_anew(self, head: Head) -> None:
        """Begin another epoch, if the database is as far as ``head``: it has lost revisions that others know."""
        async with self._connection(ANSWER_SECONDS) as connection:
            await connection.execute(_BEGIN_ANEW, head.epoch, head.revision, CHANNEL)

    @asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncGenerator[Connection[asyncpg.Record]]:
        """Borrow a connection for so long at most; raises ``TimeoutError``."""
        async with asyncio.timeout(seconds), impatient(self._pool) as connection:
            yield connection

    async def _check_open(self, request: str) -> None:
        status = await self._pool.fetchval(_STATUS, request) if request else None
        if status not in (None, "open"):
            raise ConflictError(f"the change request is {status} already")


def changes_of(rows: Iterable[asyncpg.Record]) -> list[Change]:
    """Return the changes of rows of ``flags.changes``."""
    return [change_of(row) for row in rows]


def change_of(row: asyncpg.Record) -> Change:
    """Return a change from its row of ``flags.changes``."""
    content = row["content"]
    kind: ItemKind = row["kind"]
    item = None if content is None else load(kind, row["key"], content)
    edit = Edit(kind, row["key"], item, row["action"])
    author = Author(row["author"], row["comment"], row["request"])
    return Change(row["revision"], row["version"], row["at"], author, edit)


async def _world(connection: Connection[asyncpg.Record]) -> World:
    head = await connection.fetchrow(_HEAD)
    assert head is not None
    rows = await connection.fetch(_ITEMS, timeout=MOST_SECONDS)
    parts = await asyncio.to_thread(_parts, rows)
    return World(
        head["epoch"], head["revision"], parts["flag"], parts["segment"], parts["environment"]
    )


def _parts(rows: Iterable[asyncpg.Record]) -> dict[ItemKind, dict[str, Stored[Any]]]:
    parts: dict[ItemKind, dict[str, Stored[Any]]] = {kind: {} for kind in get_args(ItemKind)}
    for row in rows:
        parts[row["kind"]][row["key"]] = Stored(
            load(row["kind"], row["key"], row["content"]),
            row["version"],
            row["revision"],
            row["created_at"],
            row["updated_at"],
            row["updated_by"],
        )
    return parts


def _contents(edits: Iterable[Edit]) -> list[str | None]:
    return [None if edit.item is None else dump(edit.item) for edit in edits]
