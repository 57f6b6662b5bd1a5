"""The outbox: messages until their receivers have taken them."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.message import Message
from alerts_svc.ports import Delivery, Lease, Refused, Result, Retry, Sent
from alerts_svc.store.content import dump, group_hash, load_message, text
from alerts_svc.store.fencing import lost

Connection = PoolConnectionProxy

# In the order of the given messages, which is the order in which they will be sent.
_PUT = """
    INSERT INTO alerts.deliveries (message_id, channel, group_hash, since, created_at, about, content)
    SELECT id, channel, hash, $7, created_at, string_to_array(about, ' '), content
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::float8[], $5::text[], $6::jsonb[])
        WITH ORDINALITY AS given (id, channel, hash, created_at, about, content, place)
    ORDER BY place
    ON CONFLICT (message_id) DO NOTHING
    RETURNING id, message_id
"""
_PUT_ITEMS = """
    WITH put AS (
        INSERT INTO alerts.delivery_items (incident, channel, sequence, delivery)
        SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[])
        ON CONFLICT DO NOTHING
        RETURNING delivery
    )
    SELECT DISTINCT delivery FROM put
"""
# A message comes after the last one of its group that waits, and after the last one that waits of each of its
# incidents; those come after the ones before them. Who asks what is due then need not compare all that wait.
_WAIT = """
    INSERT INTO alerts.delivery_waits (delivery, after)
    SELECT d.id, max(e.id)
    FROM alerts.deliveries AS d
    JOIN alerts.deliveries AS e
        ON e.channel = d.channel AND e.group_hash = d.group_hash AND e.status = 'waiting' AND e.id < d.id
    WHERE d.id = ANY($1::bigint[])
    GROUP BY d.id
    UNION
    SELECT i.delivery, max(e.id)
    FROM alerts.delivery_items AS i
    JOIN alerts.delivery_items AS j
        ON j.incident = i.incident AND j.channel = i.channel AND j.delivery < i.delivery
    JOIN alerts.deliveries AS e ON e.id = j.delivery AND e.status = 'waiting'
    WHERE i.delivery = ANY($1::bigint[])
    GROUP BY i.delivery, i.incident
"""
_DROP = "DELETE FROM alerts.deliveries WHERE id = ANY($1::bigint[])"


async def enqueue(
    connection: Connection[asyncpg.Record],
    messages: Sequence[Message],
    *,
    since: float,
    again: bool = False,
) -> None:
    """Put messages in the outbox, except those that are there.

    A message whose every transition has been told on its channel is one too, unless it is to be told ``again``.
    """
    made = await _put(connection, messages, since)
    new = [(message, made[message.id]) for message in messages if message.id in made]
    told = await _tell(connection, new)
    if told and not again:
        await connection.execute(_DROP, told)
    await connection.execute(_WAIT, list(made.values()))


async def _tell(
    connection: Connection[asyncpg.Record], new: Sequence[tuple[Message, int]]
) -> list[int]:
    """Write down what new messages are the telling of; return those that tell nothing that was not told before."""
    rows = [
        (incident, message.channel, sequence, number)
        for message, number in new
        for incident, sequence in message.told
    ]
    if not rows:
        return []
    put = await connection.fetch(_PUT_ITEMS, *zip(*rows, strict=True))
    telling = {row["delivery"] for row in put}
    return [number for message, number in new if message.told and number not in telling]


async def _put(
    connection: Connection[asyncpg.Record], messages: Sequence[Message], since: float
) -> dict[str, int]:
    rows = await connection.fetch(
        _PUT,
        [message.id for message in messages],
        [message.channel for message in messages],
        [group_hash(message.queue or message.group_key) for message in messages],
        [message.created_at for message in messages],
        [_about(message) for message in messages],
        [dump(message) for message in messages],
        since,
    )
    return {row["message_id"]: row["id"] for row in rows}


def _about(message: Message) -> str | None:
    # What it is the telling of stands in delivery_items.
    incidents = {item.incident for item in message.items} if not message.told else ()
    return " ".join(sorted(incidents)) or None


# In a storm what is critical goes first.
_DUE = """
    SELECT d.content, d.attempts, d.next_at, d.since
    FROM alerts.deliveries AS d
    WHERE d.channel = $1 AND d.status = 'waiting' AND d.next_at <= $2
        AND NOT EXISTS (
            SELECT
            FROM alerts.delivery_waits AS w
            JOIN alerts.deliveries AS e ON e.id = w.after AND e.status = 'waiting'
            WHERE w.delivery = d.id
        )
    ORDER BY d.content ->> 'severity' = 'critical' DESC, d.id
    LIMIT $3
"""
_NEXT_DUE = """
    SELECT d.next_at
    FROM alerts.deliveries AS d
    WHERE d.channel = $1 AND d.status = 'waiting'
        AND NOT EXISTS (
            SELECT
            FROM alerts.delivery_waits AS w
            JOIN alerts.deliveries AS e ON e.id = w.after AND e.status = 'waiting'
            WHERE w.delivery = d.id
        )
    ORDER BY d.next_at
    LIMIT 1
"""
_QUEUES = "SELECT DISTINCT channel FROM alerts.deliveries WHERE status = 'waiting'"


async def due(
    pool: asyncpg.Pool[asyncpg.Record], channel: str, *, own: float, limit: int
) -> list[Delivery]:
    """Return what may be sent on a channel now, oldest first."""
    rows = await pool.fetch(_DUE, channel, own, limit)
    return [
        Delivery(load_message(row["content"]), row["attempts"], row["next_at"], row["since"])
        for row in rows
    ]


async def next_due(pool: asyncpg.Pool[asyncpg.Record], channel: str) -> float | None:
    """Return when the next message of a channel may be sent."""
    found: float | None = await pool.fetchval(_NEXT_DUE, channel)
    return found


async def queues(pool: asyncpg.Pool[asyncpg.Record]) -> list[str]:
    """Return the channels that messages wait for."""
    return [row["channel"] for row in await pool.fetch(_QUEUES)]


# One statement each: a send waits for both. The lease is held as in ``fencing``.
_BEGIN = """
    WITH held AS (
        SELECT fence FROM alerts.leases
        WHERE name = 'acting' AND owner = $1 AND fence = $2
        FOR KEY SHARE
    ), begun AS (
        UPDATE alerts.deliveries
        SET attempts = attempts + 1
        WHERE message_id = $3 AND EXISTS (SELECT FROM held)
        RETURNING id, attempts
    ), noted AS (
        INSERT INTO alerts.attempts (delivery, number, began_at)
        SELECT id, attempts, $4 FROM begun
    )
    SELECT EXISTS (SELECT FROM held)
"""
_END = """
    WITH held AS (
        SELECT fence FROM alerts.leases
        WHERE name = 'acting' AND owner = $1 AND fence = $2
        FOR KEY SHARE
    ), ended AS (
        UPDATE alerts.deliveries
        SET status = $4,
            next_at = coalesce($6::float8, next_at),
            finished_at = CASE WHEN $4 = 'waiting' THEN NULL ELSE $5::float8 END,
            reason = $8
        WHERE message_id = $3 AND EXISTS (SELECT FROM held)
        RETURNING id, attempts
    ), noted AS (
        UPDATE alerts.attempts AS a
        SET ended_at = $5, outcome = $7, status = $9, reason = $8, next_at = $6
        FROM ended
        WHERE a.delivery = ended.id AND a.number = ended.attempts
    )
    SELECT EXISTS (SELECT FROM held)
"""


async def begin(
    pool: asyncpg.Pool[asyncpg.Record], lease: Lease, message: str, *, own: float
) -> None:
    """Write down that an attempt begins."""
    if not await pool.fetchval(_BEGIN, lease.owner, lease.fence, message, own):
        raise lost(lease)


async def end(
    pool: asyncpg.Pool[asyncpg.Record],
    lease: Lease,
    message: str,
    result: Result,
    *,
    own: float,
    next_at: float | None,
) -> None:
    """Write down how an attempt ended."""
    if isinstance(result, Sent):
        status, next_at = "sent", None
    else:
        status = "failed" if next_at is None else "waiting"
    held = await pool.fetchval(
        _END,
        *(lease.owner, lease.fence, message),
        *(status, own, next_at, _outcome(result), text(_reason(result)), result.status),
    )
    if not held:
        raise lost(lease)


def _outcome(result: Result) -> str:
    if isinstance(result, Retry):
        return "unknown" if result.unknown else "retry"
    return "refused" if isinstance(result, Refused) else "sent"


def _reason(result: Result) -> str:
    return result.note if isinstance(result, Sent) else result.reason


_GIVE_UP = """
    UPDATE alerts.deliveries
    SET status = 'failed', finished_at = coalesce(finished_at, $2)
    WHERE message_id = $1
"""


async def give_up(connection: Connection[asyncpg.Record], message: str, *, own: float) -> None:
    """Try a message no more."""
    await connection.execute(_GIVE_UP, message, own)
