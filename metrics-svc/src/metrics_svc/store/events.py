"""Raw events: appended by COPY, dropped when their time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.tally import COLUMNS, Row

SCHEMA = "metrics"
TABLES: Mapping[str, str] = {
    "performance": "performance",
    "llm_call": "llm_calls",
    "quality": "quality",
    "cache": "cache_events",
    "exposure": "exposures",
    "probe": "probes",
    "measurement": "measurements",
}


async def append(
    connection: PoolConnectionProxy[asyncpg.Record], kind: str, rows: Sequence[Row]
) -> None:
    """Append rows of a kind, in the order of its columns, in the caller's transaction."""
    await connection.copy_records_to_table(
        TABLES[kind], schema_name=SCHEMA, columns=COLUMNS[kind], records=rows
    )
