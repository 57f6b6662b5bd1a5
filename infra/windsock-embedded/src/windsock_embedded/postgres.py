"""A real PostgreSQL on 127.0.0.1: its data directory, its start, its databases and roles."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from windsock_embedded import accounts, binaries
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.processes import Account, Program

SUPERUSER = "windsock"
DATABASE = "windsock"

# Modest in memory; durable, because an accepted event must survive a crash.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "80",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "fsync": "on",
    "synchronous_commit": "on",
    # Our queries are many and short: compiling them costs more than it saves.
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that is set up but not necessarily running."""

    programs: Path
    data: Path
    account: Account | None
    port: int
    password: str
    major: int

    def url(self, database: str = DATABASE, *, user: str = SUPERUSER, password: str = "") -> str:
        """Return an address for asyncpg and dbmate alike, password included."""
        word = quote(password or self.password, safe="")
        return f"postgresql://{user}:{word}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def program(self, log: Path, environment: Mapping[str, str]) -> Program:
        options = {**_SETTINGS, "port": str(self.port)}
        argv = [str(self.programs / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        return Program(
            name="postgres",
            argv=argv,
            log=log,
            environment=_plain(environment),
            cwd=self.data,
            account=self.account,
            # Fast shutdown, then immediate: pg_ctl(1) sends the same.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            stop_seconds=20.0,
        )


def prepare(data_dir: Path, *, port: int, environment: Mapping[str, str]) -> PostgresServer:
    """Find programs and a data directory that fit each other; initialise it when it is new."""
    account = accounts.unprivileged_account(data_dir)
    place = accounts.readable_place(data_dir, account)
    data = place / "data"
    version_file = data / "PG_VERSION"
    major = int(version_file.read_text()) if version_file.exists() else None
    found = binaries.find_postgres(environment.get("PATH", ""), major=major)
    programs = found.bin
    if account and not accounts.may_reach(account, programs / "postgres"):
        if found.bundle is None:
            raise EmbeddedError(
                f"the user that PostgreSQL runs as cannot run {programs}/postgres:"
                " install PostgreSQL where other users may read it"
            )
        programs = accounts.copy_bundle(found.bundle, place, account)
    server = PostgresServer(
        programs=programs,
        data=data,
        account=account,
        port=port,
        password=_password(data_dir / "postgres.password", fresh=major is None),
        major=found.major,
    )
    if place.parent != data_dir:
        (data_dir / accounts.PLACE_RECORD).write_text(f"{place}\n")
    if major is None:
        _initialise(server, place, environment)
    _drop_stale_lock(data)
    return server


def running(data_dir: Path, *, port: int) -> PostgresServer:
    """Describe the server that runs from ``data_dir``, for a client of it."""
    password = _password(data_dir / "postgres.password", fresh=False)
    nowhere = Path()
    return PostgresServer(nowhere, nowhere, None, port, password, 0)


def _password(path: Path, *, fresh: bool) -> str:
    """Read the superuser's password; make one for a new data directory."""
    if path.exists():
        return path.read_text().strip()
    if not fresh:
        raise EmbeddedError(
            f"{path} is gone, and without it the existing database cannot be opened:"
            " bring the file back, or move the data directory away"
        )
    word = secrets.token_urlsafe(24)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{word}\n")
    return word


def _initialise(server: PostgresServer, place: Path, environment: Mapping[str, str]) -> None:
    """Run initdb beside the final folder, so that a crash leaves no half of one."""
    part = place / "data.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(server.data, ignore_errors=True)
    word = place / "initial-password"
    word.unlink(missing_ok=True)
    with os.fdopen(os.open(word, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{server.password}\n")
    account = server.account
    if account:
        os.chown(word, account.uid, account.gid)
    try:
        done = subprocess.run(
            [
                str(server.programs / "initdb"),
                *("-D", str(part), "-U", SUPERUSER, "--encoding=UTF8", "--no-locale"),
                *("--auth=scram-sha-256", f"--pwfile={word}"),
            ],
            env=_plain(environment),
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[account.gid] if account else None,
        )
    finally:
        word.unlink(missing_ok=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise EmbeddedError(f"initdb failed: {last[0]}")
    part.rename(server.data)


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave the user's PG* variables, locale and library paths out of the server's life."""
    kept = {name: environment[name] for name in ("PATH", "TZ") if name in environment}
    return {**kept, "LC_ALL": "C", "HOME": "/"}


def _drop_stale_lock(data: Path) -> None:
    """Remove a killed server's postmaster.pid when its pid is now some other program's.

    PostgreSQL itself takes any live process with that pid for the old server,
    which in a container started anew is the rule rather than the exception.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().splitlines()[0])
        name = psutil.Process(pid).name()
    except (OSError, ValueError, IndexError):
        return
    except psutil.NoSuchProcess:
        name = ""
    if not name.startswith("postgres"):
        lock.unlink(missing_ok=True)


async def wait_ready(
    server: PostgresServer, seconds: float = 60.0, *, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until the server answers; ``check`` is called between tries and may raise."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            connection = await asyncpg.connect(server.url("postgres"), timeout=5)
        except asyncpg.InvalidPasswordError as error:
            raise EmbeddedError(
                "PostgreSQL refuses the password in postgres.password: it is not this data's"
            ) from error
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedError(f"PostgreSQL is not ready after {seconds:.0f} s") from error
            check()
            await asyncio.sleep(0.05)
        else:
            await connection.close()
            return


async def ensure_database(server: PostgresServer, database: str = DATABASE) -> None:
    """Create ``database`` unless it is there."""
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        query = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(query, database):
            await connection.execute(f'CREATE DATABASE "{database}"')
    finally:
        await connection.close()


async def ensure_role(server: PostgresServer, name: str, database: str = DATABASE) -> str:
    """Give a service a role and a schema, both called ``name``; return the role's address.

    The role may write its own schema only. Its password is the server's with the
    role's name: the servers listen on loopback and the file with it is private.
    """
    password = f"{server.password}-{name}"
    connection = await asyncpg.connect(server.url(database))
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
            await connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        await connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO "{name}"')
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}" AUTHORIZATION "{name}"')
    finally:
        await connection.close()
    return replace(server, password=password).url(database, user=name)
