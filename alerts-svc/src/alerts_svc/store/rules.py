"""Rules: the defaults that came with the service, and people's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.rule import Rule
from alerts_svc.store import fencing
from alerts_svc.store.content import dump_rule, load_rule, text
from windsock_kit.errors import ConflictError, NotFoundError
from windsock_kit.preconditions import changed_since

Connection = PoolConnectionProxy
DEFAULT, USER = "default", "user"


@dataclass(frozen=True, slots=True)
class KeptRule:
    """A rule with where it is from: ``default`` until somebody changes it, then ``user``."""

    rule: Rule
    origin: str


_ALL = "SELECT version, origin, definition FROM alerts.rules ORDER BY name"
_ONE = "SELECT version, origin, definition FROM alerts.rules WHERE name = $1"
_VERSION = "SELECT version FROM alerts.rules WHERE name = $1 FOR UPDATE"
_CREATE = """
    INSERT INTO alerts.rules (name, version, origin, definition) VALUES ($1, 1, 'user', $2)
    ON CONFLICT DO NOTHING
    RETURNING version, origin, definition
"""
_REPLACE = """
    UPDATE alerts.rules
    SET version = version + 1, origin = 'user', definition = $2, updated_at = now()
    WHERE name = $1
    RETURNING version, origin, definition
"""
_DELETE = "DELETE FROM alerts.rules WHERE name = $1"
# A default is offered once; what nobody has touched follows the release.
_SEED = """
    WITH given AS (
        SELECT name, definition FROM unnest($1::text[], $2::jsonb[]) AS given (name, definition)
    ), offered AS (
        INSERT INTO alerts.seeded (name) SELECT name FROM given ON CONFLICT DO NOTHING RETURNING name
    ), made AS (
        INSERT INTO alerts.rules (name, version, origin, definition)
        SELECT name, 1, 'default', definition FROM given WHERE name IN (SELECT name FROM offered)
        ON CONFLICT DO NOTHING
        RETURNING name
    ), followed AS (
        UPDATE alerts.rules AS held
        SET version = held.version + 1, definition = given.definition, updated_at = now()
        FROM given
        WHERE held.name = given.name AND held.origin = 'default' AND held.definition <> given.definition
        RETURNING held.name
    )
    SELECT name FROM made UNION ALL SELECT name FROM followed
"""


class Rules:
    """Rules as people change them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def all(self) -> list[KeptRule]:
        """Return all rules by name."""
        return [_kept(row) for row in await self._pool.fetch(_ALL)]

    async def get(self, name: str) -> KeptRule:
        """Return one rule."""
        row = await self._pool.fetchrow(_ONE, text(name))
        if row is None:
            raise _unknown(name)
        return _kept(row)

    async def create(self, rule: Rule) -> KeptRule:
        """Store a new rule and return it, at version 1."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            row = await connection.fetchrow(_CREATE, text(rule.name), _definition(rule))
        if row is None:
            raise ConflictError(f"there is a rule {rule.name} already")
        return _kept(row)

    async def replace(self, rule: Rule, expected_version: int | None = None) -> KeptRule:
        """Store a rule in place of the one of its name and return it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            await _expect(connection, rule.name, expected_version)
            row = await connection.fetchrow(_REPLACE, text(rule.name), _definition(rule))
        assert row is not None
        return _kept(row)

    async def delete(self, name: str, expected_version: int | None = None) -> None:
        """Remove a rule; a default does not come back."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            await _expect(connection, name, expected_version)
            await connection.execute(_DELETE, text(name))

    async def seed(self, defaults: Sequence[Rule]) -> list[str]:
        """Offer the defaults, each once, and return the names of what is new or has changed."""
        names = [rule.name for rule in defaults]
        definitions = [_definition(rule) for rule in defaults]
        async with self._pool.acquire() as connection, connection.transaction():
            # This comes first so that replicas that start together wait for each other; it costs a revision.
            await fencing.grow(connection)
            return [row["name"] for row in await connection.fetch(_SEED, names, definitions)]


async def _expect(connection: Connection[asyncpg.Record], name: str, expected: int | None) -> None:
    version = await connection.fetchval(_VERSION, text(name))
    if version is None:
        raise _unknown(name)
    if expected is not None and version != expected:
        raise changed_since(f"rule {name}", version)


def _definition(rule: Rule) -> str:
    # The version stands in its own column; in here it would make equal rules differ.
    return dump_rule(replace(rule, version=1))


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no rule {name}")


def _kept(row: asyncpg.Record) -> KeptRule:
    return KeptRule(load_rule(row["definition"], version=row["version"]), row["origin"])
