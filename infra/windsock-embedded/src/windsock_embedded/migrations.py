"""Schema changes: dbmate, one launcher at a time, never waiting long for a lock."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from windsock_embedded import binaries
from windsock_embedded.errors import EmbeddedError

# Any constant will do as long as every runner of migrations takes the same one.
_LOCK = 0x57494E44


async def migrate(
    url: str, *, schema: str, folder: Path, environment: Mapping[str, str]
) -> list[str]:
    """Apply what is missing of ``folder`` and return the names of the applied files.

    ``schema`` must exist. A statement that waits five seconds for a table lock
    fails rather than stop the traffic behind it.
    """
    if not await asyncio.to_thread(lambda: any(folder.glob("*.sql"))):
        return []
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        output = await asyncio.to_thread(_run_dbmate, url, schema, folder, environment)
    finally:
        await connection.close()
    applied = [line for line in output.splitlines() if line.startswith("Applied: ")]
    return [line.removeprefix("Applied: ").partition(" in ")[0] for line in applied]


def _run_dbmate(url: str, schema: str, folder: Path, environment: Mapping[str, str]) -> str:
    path = environment.get("PATH", "")
    options = "options=-c%20lock_timeout%3D5s"
    done = subprocess.run(
        [
            str(binaries.find_dbmate(path)),
            *("--url", f"{url}{'&' if '?' in url else '?'}{options}"),
            *("--migrations-dir", str(folder)),
            *("--migrations-table", f"{schema}.schema_migrations"),
            *("--no-dump-schema", "--wait", "up"),
        ],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise EmbeddedError(f"migration of {schema} failed: {lines[-1] if lines else 'no output'}")
    return done.stdout
