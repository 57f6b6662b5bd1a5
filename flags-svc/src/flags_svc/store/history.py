"""What happened to an item, and to all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import asyncpg

from flags_svc.domain.world import Change, ItemKind
from flags_svc.store.configuration import change_of, changes_of
from flags_svc.store.content import at_leisure, text
from windsock_kit.errors import NotFoundError

_OF_ITEM = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    WHERE kind = $1 AND key = $2 AND ($3::bigint IS NULL OR version < $3)
    ORDER BY version DESC
    LIMIT $4
"""
_VERSION = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    WHERE kind = $1 AND key = $2 AND version = $3
"""
_OF_ALL = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    WHERE $1::bigint IS NULL OR revision < $1
    ORDER BY revision DESC
    LIMIT $2
"""
_AT = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    WHERE kind = $1 AND key = $2 AND revision <= $3
    ORDER BY revision DESC
    LIMIT 1
"""
# $1 kinds, $2 keys and $3 versions, side by side.
_VERSIONS = """
    SELECT revision, kind, key, version, at, author, comment, request, action, content
    FROM flags.changes
    JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS asked (kind, key, version)
    USING (kind, key, version)
"""
# Revisions and versions are bigints.
_MOST = 2**63 - 1


class History:
    """Changes as they were committed. They are kept for ever, also those of items that are gone."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def of_item(
        self, kind: ItemKind, key: str, *, before: int | None = None, limit: int
    ) -> Sequence[Change]:
        """Return an item's changes, newest first; those of versions below ``before`` if that is given."""
        rows = await self._pool.fetch(_OF_ITEM, kind, text(key), _held(before), limit)
        return await at_leisure(changes_of, rows)

    async def of_all(self, *, before: int | None = None, limit: int) -> Sequence[Change]:
        """Return all changes, newest first; those of revisions below ``before`` if that is given."""
        rows = await self._pool.fetch(_OF_ALL, _held(before), limit)
        return await at_leisure(changes_of, rows)

    async def version(self, kind: ItemKind, key: str, version: int) -> Change:
        """Return the change that made a version; raises ``NotFoundError``."""
        row = await self._pool.fetchrow(_VERSION, kind, text(key), _held(version))
        if row is None:
            raise NotFoundError(f"{kind} {key} has no version {version}")
        return change_of(row)

    async def versions(self, asked: Collection[tuple[ItemKind, str, int]]) -> Sequence[Change]:
        """Return the changes that made versions of items, those that there are."""
        if not asked:
            return []
        kinds, keys, versions = zip(*asked, strict=True)
        return await at_leisure(
            changes_of, await self._pool.fetch(_VERSIONS, kinds, keys, versions)
        )

    async def at_revision(self, kind: ItemKind, key: str, revision: int) -> Change:
        """Return the last change of an item up to ``revision``; raises ``NotFoundError`` if there is none."""
        row = await self._pool.fetchrow(_AT, kind, text(key), _held(revision))
        if row is None:
            raise NotFoundError(f"there was no {kind} {key} at revision {revision}")
        return change_of(row)


def _held(number: int | None) -> int | None:
    return None if number is None else max(min(number, _MOST), -_MOST)
